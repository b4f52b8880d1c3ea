"""Whole applications as people run them: installed by one command, asleep until somebody asks the front."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from requirements import need

from .conftest import TOOLS
from .machine import Failed, Machine, fresh
from .managers import Manager

APPLICATIONS = Path(__file__).parent / "applications"
SITE = (APPLICATIONS / "notes.toml").read_text(encoding="utf-8")
OF_NOTES = {"notes-web", "notes-app", "notes-worker", "notes-db", "notes-cache"}
NOTES, BLOG = "http://127.0.0.1:8080", "http://127.0.0.1:8081"


@pytest.fixture(scope="module", params=[("bookworm", "deb"), ("trixie+podman", "rpm")], ids=["bookworm-deb", "podman-rpm"])
def manager(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    """Yield a host on which all applications are installed, each by the name of its stack."""
    need(*TOOLS, root=True)
    suite, kind = request.param
    with fresh(suite) as machine:
        machine.import_image("applications:1")
        machine.sh("mkdir /srv/applications")
        for path in APPLICATIONS.iterdir():
            if path.suffix in (".py", ".php", ".conf"):
                machine.write(f"/srv/applications/{path.name}", path.read_text(encoding="utf-8"))
        manager = Manager(machine, kind)
        manager.install(*packages(tmp_path_factory.mktemp("site"), SITE, manager.kind))
        yield manager


def packages(directory: Path, text: str, kind: str) -> list[Path]:
    """Return the packages of a declaration, those of its stacks too."""
    directory.mkdir(exist_ok=True)
    (directory / "site.toml").write_text(text, encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "ondemand_pkg", "build", "--format", kind, "--output", directory / "dist",
                           directory / "site.toml"], stdout=subprocess.PIPE, text=True, check=True)
    return [Path(line) for line in done.stdout.splitlines()]


def awake(machine: Machine) -> set[str]:
    return set(machine.sh("docker ps --format '{{.Names}}'").replace("ondemand-", "").split())


def until_asleep(machine: Machine) -> None:
    machine.sh("until [ -z \"$(docker ps --quiet)\" ]; do sleep 0.2; done", timeout=90)


def ask(machine: Machine, *argv: str) -> str:
    return machine.run("curl", "-sS", "--fail", "--max-time", "90", *argv, timeout=100).stdout


def until_it_says(machine: Machine, text: str) -> None:
    machine.sh(f"until curl -sS --max-time 60 {NOTES}/ | grep -qx '{text}'; do sleep 0.2; done", timeout=90)


def test_everything_sleeps_after_the_installation_and_a_page_of_the_front_alone_wakes_only_the_front(manager: Manager) -> None:
    assert awake(manager.machine) == set()
    assert ask(manager.machine, f"{NOTES}/static") == "static\n"
    assert awake(manager.machine) == {"notes-web"}
    until_asleep(manager.machine)


def test_the_first_page_finds_a_migrated_database_and_the_worker_does_its_work(manager: Manager) -> None:
    assert ask(manager.machine, "--data", "text=hello", f"{NOTES}/") == "added\n"
    until_it_says(manager.machine, "hello: 5")
    assert awake(manager.machine) == OF_NOTES


def test_it_sleeps_again_and_wakes_with_its_data_and_without_another_migration(manager: Manager) -> None:
    until_asleep(manager.machine)
    assert "hello: 5\n" in ask(manager.machine, f"{NOTES}/")
    until_asleep(manager.machine)


def test_a_thousand_clients_of_the_sleeping_application_are_all_answered(manager: Manager) -> None:
    until_asleep(manager.machine)
    assert manager.machine.clients(1000, ("127.0.0.1", 8080), limit=110) == ["HTTP/1.1 200 OK"] * 1000


def test_two_databases_of_one_port_keep_their_data_apart(manager: Manager) -> None:
    until_asleep(manager.machine)
    assert ask(manager.machine, f"{BLOG}/index.php?title=first+post") == "first post\n"
    assert awake(manager.machine) == {"blog-web", "blog-db"}
    assert "first post" not in ask(manager.machine, f"{NOTES}/")
    until_asleep(manager.machine)
    assert ask(manager.machine, f"{BLOG}/index.php") == "first post\n"


def until_second_says(machine: Machine, command: str, text: str) -> None:
    talk = f"printf '{command}\\r\\nQUIT\\r\\n' | timeout 60 nc -q 2 127.0.0.1 6380"
    machine.sh(f"until {talk} | grep -q '{text}'; do sleep 0.3; done", timeout=90)


def test_servers_that_follow_each_other_by_name_wake_and_sleep_together(manager: Manager) -> None:
    machine = manager.machine
    until_asleep(machine)
    until_second_says(machine, "INFO replication", "master_link_status:up")
    assert awake(machine) == {"first", "second"}
    said = machine.run("docker", "exec", "ondemand-first", "redis-cli", "info", "replication").stdout
    assert "slave0:ip=second,port=6379" in said
    machine.run("docker", "exec", "ondemand-second", "redis-cli", "-h", "first", "set", "word", "followed")
    until_second_says(machine, "GET word", "followed")
    until_asleep(machine)


def test_a_worker_that_is_killed_is_started_again_while_its_application_is_awake(manager: Manager) -> None:
    machine = manager.machine
    ask(machine, f"{NOTES}/")
    machine.sh("until docker kill ondemand-notes-worker; do sleep 0.1; done", timeout=30)
    assert ask(machine, "--data", "text=worker", f"{NOTES}/") == "added\n"
    until_it_says(machine, "worker: 6")


def test_a_database_that_is_killed_costs_no_page_that_is_asked_for_afterwards(manager: Manager) -> None:
    machine = manager.machine
    ask(machine, f"{NOTES}/")
    machine.run("docker", "kill", "ondemand-notes-db")
    assert "hello: 5\n" in ask(machine, f"{NOTES}/")


def test_an_upgrade_of_the_whole_application_loses_no_client_and_no_data(manager: Manager, tmp_path: Path) -> None:
    machine = manager.machine
    ask(machine, f"{NOTES}/")
    text = SITE.replace('version = "1"', 'version = "2"').replace('"gunicorn", ', '"gunicorn", "--workers", "2", ').replace(
        '["python3", "/srv/applications/migrate.py"]', '["true"]')
    new = packages(tmp_path, text, manager.kind)
    clients = machine.start("python3", "-c", UNTIL_TOLD)
    assert clients.stdout is not None and clients.stdin is not None
    assert clients.stdout.readline() == "200\n"
    manager.install(*new)
    said, _ = clients.communicate("\n", timeout=120)
    assert set(said.split()) == {"200"}
    assert "hello: 5\n" in ask(machine, f"{NOTES}/")
    assert "--workers" in machine.inspect("ondemand-notes-app")["Config"]["Cmd"]


# Asks for the static page of the front, again and again, until it is told to end; prints each status.
UNTIL_TOLD = """
import select, sys, urllib.request
while not select.select([sys.stdin], [], [], 0.1)[0]:
    try:
        with urllib.request.urlopen("http://127.0.0.1:8080/static", timeout=90) as answer:
            print(answer.status, flush=True)
    except OSError as error:
        print(repr(error).replace(" ", "_"), flush=True)
"""


def test_what_has_ended_in_a_failed_task_is_told_and_mended_by_the_next_version(manager: Manager, tmp_path: Path) -> None:
    machine = manager.machine
    until_asleep(machine)
    for version, command, is_answered in (("3", '["sh", "-c", "echo no room; exit 4"]', False), ("4", '["true"]', True)):
        text = SITE.replace('version = "1"', f'version = "{version}"').replace(
            '["python3", "/srv/applications/migrate.py"]', command)
        manager.install(*packages(tmp_path / version, text, manager.kind))
        if is_answered:
            machine.sh(f"until curl -sS --fail --max-time 60 {NOTES}/ | grep -q 'hello: 5'; do sleep 0.5; done", timeout=120)
        else:
            with pytest.raises(Failed):
                ask(machine, f"{NOTES}/")
            assert "it exited with status 4; last output: \"no room\"" in machine.journal("ondemand-notes-migrate-container")


def test_one_command_removes_the_application_and_leaves_its_data(manager: Manager) -> None:
    machine = manager.machine
    manager.mark_as_brought("ondemand-notes-*")
    manager.purge_all("ondemand-notes")
    left = machine.sh("docker ps -a --format '{{.Names}}' | grep notes; ls /usr/lib/systemd/system | grep notes", check=False)
    assert left == ""
    assert "notes-db" in machine.run("docker", "volume", "ls", "-q").stdout
    assert ask(machine, f"{BLOG}/index.php") == "first post\n"
