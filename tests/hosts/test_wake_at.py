"""What administrators may rely on of services that are woken by the clock, and of tasks that run by it, on two hosts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import built
from .machine import Machine
from .managers import Manager

SITE = """
[container.clock]
image       = "servers:1"
version     = "{version}"
ports       = ["8101:80"]
idle        = "1s"
idle_action = "{action}"
{key}
"""
TASK = """
[container.backup]
image      = "nginx:1.27"
version    = "{version}"
entrypoint = ["sh", "-c", "echo saved; exit {status}"]
task       = true
{key}
"""
EVERY = 'wake_at = ["*:*:0/4", "*:*:2/4"]'
TIMER = "ondemand-wake@clock.timer"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return packages without the key, and with it: of a service that is stopped, and of one that is paused."""
    rows = {"1": ("stop", ""), "2": ("stop", EVERY), "3": ("pause", EVERY)}
    return {version: built(tmp_path_factory.mktemp(version), SITE.format(version=version, action=action, key=key))["deb/clock"]
            for version, (action, key) in rows.items()}


@pytest.fixture(scope="module")
def apt(host: Machine) -> Manager:
    return Manager(host, "deb")


def is_active(apt: Manager, unit: str) -> bool:
    return apt.machine.run("systemctl", "is-active", unit, check=False).stdout.strip() == "active"


def wakes(apt: Manager) -> int:
    """Return how often it was woken, each time without a client."""
    apt.machine.run("journalctl", "--sync")
    lines = apt.machine.run("journalctl", "--output=json", "ONDEMAND_NAME=clock", "MESSAGE_ID=03eb855e60674ca096582626136989ec")
    records = [json.loads(line) for line in lines.stdout.splitlines()]
    assert all(record["MESSAGE"].startswith("woken without a client") for record in records)
    return len(records)


def until_woken(apt: Manager, count: int) -> None:
    apt.machine.sh("until [ $(journalctl --output=cat MESSAGE_ID=03eb855e60674ca096582626136989ec ONDEMAND_NAME=clock | wc -l) "
                   f"-ge {count} ]; do sleep 0.1; done", timeout=60)


def test_an_upgrade_brings_the_timer_which_wakes_it_again_and_again(apt: Manager, packages: dict[str, Path]) -> None:
    apt.install(packages["1"])
    assert not is_active(apt, TIMER) and wakes(apt) == 0
    apt.install(packages["2"])
    assert is_active(apt, TIMER)
    until_woken(apt, 2)


def test_one_that_sleeps_paused_is_woken_too(apt: Manager, packages: dict[str, Path]) -> None:
    apt.install(packages["3"])
    before = wakes(apt)
    until_woken(apt, before + 2)
    apt.machine.sh("until docker inspect --format '{{.State.Paused}}' ondemand-clock | grep -q true; do sleep 0.05; done")
    until_woken(apt, before + 3)


def test_it_runs_where_the_socket_listens_and_nowhere_else(apt: Manager, packages: dict[str, Path]) -> None:
    apt.machine.run("systemctl", "stop", "ondemand-clock.socket")
    assert not is_active(apt, TIMER)
    apt.machine.run("systemctl", "disable", "ondemand-clock.socket")
    apt.machine.run("systemctl", "start", "ondemand-clock.socket")
    assert is_active(apt, TIMER)
    apt.machine.run("systemctl", "stop", "ondemand-clock.socket")
    apt.reinstall(packages["3"])
    assert not is_active(apt, TIMER), "the administrator has switched the service off"
    apt.machine.run("systemctl", "enable", "--now", "ondemand-clock.socket")


def test_a_downgrade_and_a_removal_leave_no_timer(apt: Manager, packages: dict[str, Path]) -> None:
    apt.downgrade(packages["1"])
    assert not is_active(apt, TIMER) and is_active(apt, "ondemand-clock.socket")
    apt.install(packages["2"])
    assert is_active(apt, TIMER)
    apt.purge("ondemand-clock")
    left = apt.machine.sh("systemctl list-units --all --plain --no-legend 'ondemand-*'; "
                          "ls /usr/lib/systemd/system | grep ondemand || :")
    assert left == ""


# Tasks

RUNS = "ondemand-wake@backup.timer"


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return packages of a task that runs by the clock: one that succeeds, one that fails."""
    return {version: built(tmp_path_factory.mktemp(f"task{version}"), TASK.format(
        version=version, status=status, key='schedule = "*:*:0/3"'))["deb/backup"] for version, status in (("1", 0), ("2", 3))}


def until_said(apt: Manager, text: str, count: int) -> None:
    apt.machine.sh(f"until [ $(journalctl --output=cat --unit=ondemand-backup-container | grep -cx '{text}') -ge {count} ]; "
                   "do sleep 0.1; done", timeout=60)


def test_a_task_runs_by_the_clock_each_time(apt: Manager, tasks: dict[str, Path]) -> None:
    apt.install(tasks["1"])
    assert is_active(apt, RUNS)
    until_said(apt, "saved", 2)
    assert apt.machine.run("systemctl", "is-failed", "ondemand-backup-container", check=False).stdout.strip() != "failed"


def test_a_run_that_fails_is_seen_and_the_next_one_comes(apt: Manager, tasks: dict[str, Path]) -> None:
    apt.install(tasks["2"])
    assert is_active(apt, RUNS), "an upgrade keeps it going"
    apt.machine.sh("until journalctl --output=cat --unit=ondemand-backup-container | grep -c 'exited with status 3; last output: "
                   "\"saved\"' | grep -q '[2-9]'; do sleep 0.1; done", timeout=60)


def test_an_administrator_who_switches_it_off_is_heeded_and_a_purge_leaves_nothing(apt: Manager, tasks: dict[str, Path]) -> None:
    apt.machine.run("systemctl", "disable", "--now", RUNS)
    apt.reinstall(tasks["2"])
    assert not is_active(apt, RUNS)
    apt.machine.run("systemctl", "enable", "--now", RUNS)
    apt.purge("ondemand-backup")
    left = apt.machine.sh("systemctl list-units --all --plain --no-legend 'ondemand-*'; ls /usr/lib/systemd/system "
                          "/etc/systemd/system/timers.target.wants /var/lib/systemd/timers | grep ondemand || :")
    assert left == ""
