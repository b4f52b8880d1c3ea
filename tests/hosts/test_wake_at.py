"""What administrators may rely on of services that are woken by the clock, and of tasks that run by it, by apt and dnf."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ondemand_host.systemd import WOKEN

from .conftest import built, manager_on
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
manager = manager_on("bullseye-deb", "trixie-rpm")
EVERY = 'wake_at = ["*:*:0/4", "*:*:2/4"]'
TIMER = "ondemand-wake@clock.timer"


@pytest.fixture(scope="module")
def packages(manager: Manager, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return packages without the key, and with it: of a service that is stopped, and of one that is paused."""
    rows = {"1": ("stop", ""), "2": ("stop", EVERY), "3": ("pause", EVERY)}
    return {version: built(tmp_path_factory.mktemp(version), SITE.format(version=version, action=action, key=key))[
        f"{manager.kind}/clock"] for version, (action, key) in rows.items()}


def is_active(manager: Manager, unit: str) -> bool:
    return manager.machine.run("systemctl", "is-active", unit, check=False).stdout.strip() == "active"


def wakes(manager: Manager, name: str = "clock") -> int:
    """Return how often it was woken, each time without a client."""
    manager.machine.run("journalctl", "--sync")
    lines = manager.machine.run("journalctl", "--output=json", f"ONDEMAND_NAME={name}", f"MESSAGE_ID={WOKEN}")
    records = [json.loads(line) for line in lines.stdout.splitlines()]
    assert all(record["MESSAGE"].startswith("woken without a client") for record in records)
    return len(records)


def until_woken(manager: Manager, count: int, name: str = "clock", timeout: float = 60) -> None:
    manager.machine.sh(f"until [ $(journalctl --output=cat MESSAGE_ID={WOKEN} ONDEMAND_NAME={name} | wc -l) -ge {count} ]; "
                       "do sleep 0.1; done", timeout=timeout)


def test_an_upgrade_brings_the_timer_which_wakes_it_again_and_again(manager: Manager, packages: dict[str, Path]) -> None:
    manager.install(packages["1"])
    assert not is_active(manager, TIMER) and wakes(manager) == 0
    manager.install(packages["2"])
    assert is_active(manager, TIMER)
    until_woken(manager, 2)


def test_one_that_sleeps_paused_is_woken_too(manager: Manager, packages: dict[str, Path]) -> None:
    manager.install(packages["3"])
    before = wakes(manager)
    until_woken(manager, before + 2)
    manager.machine.sh("until docker inspect --format '{{.State.Paused}}' ondemand-clock | grep -q true; do sleep 0.05; done")
    until_woken(manager, before + 3)


def test_it_runs_where_the_socket_listens_and_nowhere_else(manager: Manager, packages: dict[str, Path]) -> None:
    manager.machine.run("systemctl", "stop", "ondemand-clock.socket")
    assert not is_active(manager, TIMER)
    manager.machine.run("systemctl", "disable", "ondemand-clock.socket")
    manager.machine.run("systemctl", "start", "ondemand-clock.socket")
    assert is_active(manager, TIMER)
    manager.machine.run("systemctl", "stop", "ondemand-clock.socket")
    manager.reinstall(packages["3"])
    assert not is_active(manager, TIMER), "the administrator has switched the service off"
    manager.machine.run("systemctl", "enable", "--now", "ondemand-clock.socket")


def test_a_downgrade_and_a_removal_leave_no_timer(manager: Manager, packages: dict[str, Path]) -> None:
    manager.downgrade(packages["1"])
    assert not is_active(manager, TIMER) and is_active(manager, "ondemand-clock.socket")
    manager.install(packages["2"])
    assert is_active(manager, TIMER)
    manager.purge("ondemand-clock")
    left = manager.machine.sh("systemctl list-units --all --plain --no-legend 'ondemand-*'; "
                          "ls /usr/lib/systemd/system | grep ondemand || :")
    assert left == ""


# Hours


def test_hours_in_which_it_stays_awake_begin_with_a_wake_and_end_with_sleep(
    manager: Manager, tmp_path_factory: pytest.TempPathFactory,
) -> None:
    now = int(manager.machine.sh("date +%s"))
    begin = (now + 90) // 60 * 60  # at least 30 s from now
    start, end = (manager.machine.sh(f"date --date=@{moment} +%H:%M").strip() for moment in (begin, begin + 60))
    text = SITE.format(version="1", action="stop", key=f'keep_awake = "{start}..{end}"').replace(".clock]", ".office]")
    manager.install(built(tmp_path_factory.mktemp("office"), text)[f"{manager.kind}/office"])
    unit = "ondemand-office-container.service"
    until_woken(manager, 1, "office", 120)
    manager.machine.sh(f"sleep $(({begin} + 55 - $(date +%s)))", timeout=120)
    assert is_active(manager, unit) and wakes(manager, "office") == 1, "without traffic for much longer than idle"
    manager.machine.sh(f"while systemctl --quiet is-active {unit}; do sleep 0.2; done", timeout=60)
    assert int(manager.machine.sh("date +%s")) in range(begin + 60, begin + 75)
    assert wakes(manager, "office") == 1
    manager.purge("ondemand-office")


# Tasks

RUNS = "ondemand-wake@backup.timer"


@pytest.fixture(scope="module")
def tasks(manager: Manager, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return packages of a task that runs by the clock: one that succeeds, one that fails."""
    found = {}
    for version, status in (("1", 0), ("2", 3)):
        text = TASK.format(version=version, status=status, key='schedule = "*:*:0/3"')
        found[version] = built(tmp_path_factory.mktemp(f"task{version}"), text)[f"{manager.kind}/backup"]
    return found


def until_said(manager: Manager, text: str, count: int) -> None:
    manager.machine.sh(f"until [ $(journalctl --output=cat --unit=ondemand-backup-container | grep -cx '{text}') -ge {count} ]; "
                       "do sleep 0.1; done", timeout=60)


def test_a_task_runs_by_the_clock_each_time(manager: Manager, tasks: dict[str, Path]) -> None:
    manager.install(tasks["1"])
    assert is_active(manager, RUNS)
    until_said(manager, "saved", 2)
    assert manager.machine.run("systemctl", "is-failed", "ondemand-backup-container", check=False).stdout.strip() != "failed"


def test_a_run_that_fails_is_seen_and_the_next_one_comes(manager: Manager, tasks: dict[str, Path]) -> None:
    manager.install(tasks["2"])
    assert is_active(manager, RUNS), "an upgrade keeps it going"
    failed = 'exited with status 3; last output: "saved"'
    manager.machine.sh(f"until journalctl --output=cat --unit=ondemand-backup-container | grep -c '{failed}' | grep -q '[2-9]'; "
                       "do sleep 0.1; done", timeout=60)


def test_an_administrator_who_switches_it_off_is_heeded_and_a_purge_leaves_nothing(
    manager: Manager, tasks: dict[str, Path],
) -> None:
    manager.machine.run("systemctl", "disable", "--now", RUNS)
    manager.reinstall(tasks["2"])
    assert not is_active(manager, RUNS)
    manager.machine.run("systemctl", "enable", "--now", RUNS)
    manager.purge("ondemand-backup")
    left = manager.machine.sh("systemctl list-units --all --plain --no-legend 'ondemand-*'; ls /usr/lib/systemd/system "
                          "/etc/systemd/system/timers.target.wants /var/lib/systemd/timers | grep ondemand || :")
    assert left == ""
