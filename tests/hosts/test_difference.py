"""What `diff` says of two packages is what the upgrade from one to the other does to a host, awake and asleep."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ondemand_pkg.cli.main import cli

from .conftest import built, manager_on
from .machine import Machine
from .managers import Manager

SOCKET, PROXY, CONTAINER = "ondemand-web.socket", "ondemand-web.service", "ondemand-web-container.service"
ASK = "curl -sS --max-time 60 http://127.0.0.1:8001/"
BASE = {
    "image": '"servers:1"', "ports": '["8001:80", "8002:81"]', "env": '{ PORTS = "80 81", MODE = "a" }', "stop_timeout": '"1s"',
    "volumes": '["data:/data"]', "description": '"Something"',
}
# Holds a connection open without a word until a line comes; says then whether it is answered on it.
HELD = """import socket, sys
connection = socket.create_connection(("127.0.0.1", 8001))
print("open", flush=True)
sys.stdin.readline()
try:
    connection.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    print(connection.makefile().readline().strip() or "ended")
except OSError:
    print("ended")
"""


@dataclasses.dataclass
class Case:
    """Keys that change (None: not there), and a command that succeeds on the host once that is in effect for a client."""

    changes: dict[str, str | None]
    effect: str = ""


CASES = {
    "the version alone": Case({}),
    "the description": Case({"description": '"Something else"'}, f"systemctl show -P Description {SOCKET} | grep else"),
    "the licence": Case({"license": '"Apache-2.0"'}),
    "the image": Case({"image": '"nginx:1.27"', "ports": '["8001:80"]'}, f"{ASK} | grep -i nginx"),
    "the environment": Case({"env": '{ PORTS = "80 81", MODE = "b" }'}, f"""{ASK} | grep '"MODE": "b"'"""),
    "the command": Case({"command": '["/servers/show.py", "x"]'}, f"""{ASK} | grep '"/servers/show.py", "x"'"""),
    "the user": Case({"user": '"1000:1001"'}, f"""{ASK} | grep '"gid": 1001'"""),
    "a label": Case({"labels": '{ team = "web" }'}, "docker inspect ondemand-web | grep '\"team\": \"web\"'"),
    "the stop timeout": Case({"stop_timeout": '"2s"'}, f"systemctl show -P TimeoutStopUSec {PROXY} | grep 32s"),
    "a volume more": Case({"volumes": '["data:/data", "more:/more"]'}, "docker exec ondemand-web test -d /more"),
    "a volume less": Case({"volumes": None}, "docker exec ondemand-web test ! -d /data"),
    "a port that moved": Case({"ports": '["8001:80", "8003:81"]'}, "curl -sS --max-time 60 http://127.0.0.1:8003/ | grep 81"),
    "a port that moved to one address": Case({"ports": '["8001:80", "127.0.0.1:8002:81"]'},
                                             "ss -Hltn | grep 127.0.0.1:8002"),
    "a port more, as a Unix socket": Case({"ports": '["8001:80", "8002:81", "/run/web.sock:80"]'},
                                          "curl -sS --max-time 60 --unix-socket /run/web.sock http://web/"),
    "a port less": Case({"ports": '["8001:80"]'}, "! ss -Hltn | grep :8002"),
    "the port inside": Case({"ports": '["8001:81", "8002:81"]'}, f"""{ASK} | grep '"port": 81'"""),
    "another order of the ports": Case({"ports": '["8002:81", "8001:80"]'}),
    "a port that moved, and the environment": Case({"ports": '["8001:80", "8003:81"]', "env": '{ PORTS = "80 81" }'},
                                                   f"! {ASK} | grep MODE"),
    "idle": Case({"idle": '"1h"'}, "pgrep -f '[r]elay .*--idle 3600'"),
    "what happens when idle": Case({"idle": '"1h"', "idle_action": '"pause"'}, "pgrep -f '[r]un --pause'"),
    "readiness": Case({"ready": '{ http = "/ready" }'}, "pgrep -f 'ondemand-web/[r]un .*--by http'"),
    "readiness by a log": Case({"ready": '{ log = "listening" }'}, "pgrep -f '[r]un --log'"),
    "who may connect": Case({"allow": '["127.0.0.0/8"]'}, "pgrep -f '[r]elay .*--allow 127.0.0.0/8'"),
    "a requirement": Case({"requires": '["db"]'}, "systemctl is-active ondemand-db-container.service"),
    "metrics": Case({"metrics": '"/var/lib/numbers"'}, "pgrep -f '[r]un .*--metrics /var/lib/numbers'"),
    "volumes that go at a purge": Case({"purge_volumes": "true"}),
    "the proxy": Case({"ports": '["8001:80"]', "proxy": '"systemd-socket-proxyd"'}, "pgrep -f '[s]ystemd-socket-proxyd'"),
}


HOSTS = ("bookworm-rpm", "trixie-deb")
# Where the two formats' scripts have most to do; the other changes take turns, each with one format.
WITH_BOTH = ("the version alone", "the environment", "a port that moved", "a port less", "metrics", "volumes that go at a purge")
TURNS = [(host, name) for host in HOSTS for number, name in enumerate(CASES) if name in WITH_BOTH or HOSTS[number % 2] == host]
shared = manager_on(*HOSTS)


@pytest.fixture
def manager(shared: Manager) -> Iterator[Manager]:
    """A package manager on a host without any of our packages."""
    yield shared
    shared.clear("ondemand-web", "ondemand-db")


def declared(version: int, changes: dict[str, str | None]) -> str:
    keys = {key: value for key, value in {**BASE, **changes}.items() if value is not None}
    return f'[container.web]\nversion = "{version}"\n' + "".join(f"{key} = {value}\n" for key, value in keys.items())


def package(manager: Manager, directory: Path, version: int, changes: dict[str, str | None]) -> Path:
    directory = directory / str(version)
    directory.mkdir()
    return built(directory, declared(version, changes))[f"{manager.kind}/web"]


def told(old: Path, new: Path) -> dict[str, Any]:
    """Return what `diff` says; two packages of other versions always differ in something."""
    done = CliRunner().invoke(cli, ["diff", "--json", str(old), str(new)])
    assert done.exit_code == 1, done.output
    (found,) = json.loads(done.stdout)
    return dict(found)


@dataclasses.dataclass(frozen=True)
class Facts:
    """What of a host an upgrade may change."""

    container: str  # that the next client gets
    started: str
    lives: tuple[str, ...]
    files: frozenset[str]

    @classmethod
    def of(cls, manager: Manager) -> Facts:
        machine = manager.machine
        details = machine.inspect("ondemand-web")
        # Made already, while the one from before ran; the next wake starts it.
        made = machine.sh("docker inspect --format '{{.Id}}' ondemand-web.next 2>/dev/null", check=False).strip()
        lives = tuple(machine.sh(f"systemctl show --property=InvocationID,ActiveState {unit}")
                      for unit in (SOCKET, PROXY, CONTAINER))
        files = machine.sh("dpkg -L ondemand-web" if manager.kind == "deb" else "rpm -ql ondemand-web").split()
        return cls(made or details["Id"], details["State"]["StartedAt"], lives, frozenset(files))


def in_effect(machine: Machine, case: Case) -> bool:
    return machine.run("sh", "-c", case.effect, check=False).returncode == 0


def listens(machine: Machine, address: str) -> bool:
    """Return whether anybody listens on what a ListenStream= says."""
    shown = [line.split()[3] for line in machine.sh("ss -Hltn").splitlines()]
    paths = [line.split()[4] for line in machine.sh("ss -Hlx").splitlines()]
    return (f"*:{address}" if address.isdigit() else address) in shown + paths


def agree(said: dict[str, Any], before: Facts, after: Facts) -> None:
    """Hold what was said against a host before and after."""
    assert said["container_recreated"] is (before.container != after.container)
    assert said["socket_restarted"] is (before.lives[0] != after.lives[0])
    came = {change["what"] for change in said["changes"]["files"] if change["old"] is None}
    went = {change["what"] for change in said["changes"]["files"] if change["new"] is None}
    for change in said["changes"]["next_wake"]:
        if change["what"].startswith("helper ") and None in (change["old"], change["new"]):
            path = f"/usr/libexec/ondemand-web/{change['what'].removeprefix('helper ')}"
            (came if change["old"] is None else went).add(path)
    assert (set(after.files - before.files), set(before.files - after.files)) == (came, went)


@pytest.mark.parametrize(("shared", "name"), TURNS, indirect=["shared"])
def test_an_upgrade_does_what_diff_says(manager: Manager, tmp_path: Path, name: str) -> None:
    machine, case = manager.machine, CASES[name]
    if "requires" in case.changes:
        (tmp_path / "db").mkdir()
        other = '[container.db]\nimage = "servers:1"\nversion = "1"\nports = ["8009:80"]\n'
        manager.install(built(tmp_path / "db", other)[f"{manager.kind}/db"])
    old, new, again = (package(manager, tmp_path, version, changes) for version, changes in (
        (1, {}), (2, case.changes), (3, {})))

    # Awake, with a client that holds a connection open.
    manager.install(old)
    assert machine.get("http://127.0.0.1:8001/") == "200"
    client = machine.start("python3", "-c", HELD)
    assert client.stdout is not None and client.stdout.readline() == "open\n"
    before, said = Facts.of(manager), told(old, new)
    assert not case.effect or not in_effect(machine, case)
    manager.install(new)
    after = Facts.of(manager)
    agree(said, before, after)
    untouched = (before.started, before.lives[1:]) == (after.started, after.lives[1:])
    assert (said["downtime"] == "none") is untouched
    assert (client.communicate("\n", timeout=60)[0].strip() != "ended") is untouched
    gone = [change["what"] for change in said["changes"]["addresses"] if change["new"] is None]
    new_addresses = [change["what"] for change in said["changes"]["addresses"] if change["old"] is None]
    assert all(listens(machine, address) for address in new_addresses)
    assert not (said["socket_restarted"] and any(listens(machine, address) for address in gone))
    # A service that is awake goes on as it is.
    assert not (untouched and case.effect and "pgrep" in case.effect and in_effect(machine, case))

    if said["socket_restarted"] and not said["container_recreated"]:
        machine.sh(f"until systemctl --quiet is-active {CONTAINER}; do sleep 0.05; done", timeout=60)  # without a client
    elif not untouched:
        assert "ActiveState=inactive" in after.lives[1] and "ActiveState=inactive" in after.lives[2]

    # The next wake.
    machine.run("systemctl", "stop", CONTAINER)
    assert not any(listens(machine, address) for address in gone)
    assert machine.get("http://127.0.0.1:8001/") == "200"
    assert machine.inspect("ondemand-web")["Id"] == after.container and (not case.effect or in_effect(machine, case))
    if "8002:81" in (case.changes.get("ports") or ""):
        assert [json.loads(machine.sh(f"curl -sS http://127.0.0.1:{port}/"))["port"] for port in (8001, 8002)] == (
            [81, 81] if "8001:81" in (case.changes["ports"] or "") else [80, 81])

    # Asleep, and back.
    machine.run("systemctl", "stop", "ondemand-*-container.service")
    before, said = Facts.of(manager), told(new, again)
    manager.install(again)
    after = Facts.of(manager)
    agree(said, before, after)
    assert after.lives[1:] == before.lives[1:] and not machine.inspect("ondemand-web")["State"]["Running"]
    assert machine.get("http://127.0.0.1:8001/") == "200" and (not case.effect or not in_effect(machine, case))


def test_what_is_said_of_the_volumes_and_of_the_container_from_before_is_so(manager: Manager, tmp_path: Path) -> None:
    old, new = package(manager, tmp_path, 1, {}), package(manager, tmp_path, 2, {"volumes": None})
    manager.install(old)
    first = Facts.of(manager).container
    done = CliRunner().invoke(cli, ["diff", str(old), str(new)])
    assert "the volume data stays on the host; delete it with: docker (or podman) volume rm data" in done.stdout
    assert "the old container is kept, stopped, as ondemand-web.previous; a downgrade uses it again" in done.stdout
    manager.install(new)
    assert manager.machine.inspect("ondemand-web.previous")["Id"] == first
    assert "data" in manager.machine.sh("docker volume ls -q").split()
    manager.downgrade(old)
    assert Facts.of(manager).container == first


def test_the_same_version_with_another_content_is_no_upgrade_as_diff_says(manager: Manager, tmp_path: Path) -> None:
    old = package(manager, tmp_path, 1, {})
    (tmp_path / "other").mkdir()
    other = built(tmp_path / "other", declared(1, CASES["the environment"].changes))[f"{manager.kind}/web"]
    assert "both have the same version" in CliRunner().invoke(cli, ["diff", str(old), str(other)]).stdout
    manager.install(old)
    before = Facts.of(manager)
    if manager.kind == "rpm":  # apt-get takes a file of the same version for the installed one only where it holds the same
        manager.install(other)
        assert Facts.of(manager) == before
