"""What authors of declarations and administrators may rely on of services that are there before their package."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import names
import pytest
from engines import EngineError, chosen, networks, unit
from requirements import need

from ondemand_host import checks, systemd
from ondemand_host.places import Installed
from ondemand_host.systemd import Unit
from ondemand_pkg.checking.findings import findings
from ondemand_pkg.comparing.difference import compare
from ondemand_pkg.contents import package_of
from ondemand_pkg.contents.declaration_file import as_toml
from ondemand_pkg.declaration import reader
from ondemand_pkg.errors import DeclarationError
from ondemand_pkg.exporting import kubernetes
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.model import Adopted, Container, Resolved
from ondemand_pkg.package import Package

GAME = """[adopt.game]
version = "1"
unit = "lxc@game.service"
ports = ["25565:25565", "25565:25565/udp"]
"""
WEB = '[container.web]\nimage = "nginx:1"\nversion = "1"\nports = ["80:80"]\n'


def declared(directory: Path, text: str) -> list[Container]:
    (directory / "a.toml").write_text(text)
    return reader.read([str(directory / "a.toml")])


def faults(directory: Path, text: str) -> list[str]:
    with pytest.raises(DeclarationError) as caught:
        declared(directory, text)
    return [str(fault).removeprefix(f"{directory}/") for fault in caught.value.faults]


def packed(container: Container, format: str = "deb") -> Package:
    return package_of.package(Resolved(container), FORMATS[format], 0)


def content(package: Package, path: str) -> str:
    (entry,) = (entry for entry in package.entries if entry.path == path)
    return entry.data.decode()


@pytest.mark.parametrize(("line", "told"), [
    ('unit = "game"', 'a.toml:5: adopt.game.unit: found "game"; the kind of unit is missing; write "game.service"'),
    ('unit = "game.socket"', "a .socket is no service"),
    ('unit = "lxc@.service"', 'it is a template; name one of its instances, as in "lxc@NAME.service"'),
    ('unit = "-x.service"', "allowed: the name of a service of systemd"),
    ('unit = "a b.service"', "allowed: the name of a service of systemd"),
    (f'unit = "{"a" * 250}.service"', "allowed: the name of a service of systemd"),
    ('unit = "ondemand-web-container.service"', "it is a unit of a package of this project"),
    ("unit = 5", "expected the name of a service of systemd"),
    ('container = "game"', "unit is written too, and a service is one of them; leave one of the two out"),
    ('address = "game.example"', "allowed: an IP address"),
    ('address = "0.0.0.0"', "nothing can be reached at it"),
    ('address = "fe80::1%eth0"', "nothing can be reached at it"),
    ('address = "127.0.0.1"', 'systemd itself listens there for "25565:25565": clients would be led back'),
    ('ready = "started"', '"started" needs a container'),
    ('ready = { exec = ["x"] }', '"exec" needs a container'),
    ('ready = { tcp = ["1"] }', "it waits for port 1, to which none of ports leads"),
    ('idle_action = "pause"', '"pause" needs an idle time'),
    ('image = "nginx:1"', "this key belongs to a container; nothing is made of an adopted service; leave it out"),
    ('env = { A = "1" }', "this key belongs to a container; nothing is made of an adopted service; leave it out"),
    ('expose = ["80"]', "this key belongs to a container; nothing is made of an adopted service; leave it out"),
    ('service = "web"', 'it belongs to a Compose project; write compose = "shop" too, or leave it out'),
    ('untit = "x"', 'unknown key; did you mean "unit"?'),
])
def test_a_mistake_is_told_with_its_place_and_the_remedy(tmp_path: Path, line: str, told: str) -> None:
    text = GAME.replace('unit = "lxc@game.service"\n', "") if line.startswith("unit") else GAME
    text = text.replace(text.splitlines()[0] + "\n", text.splitlines()[0] + "\n\n\n\n" + line + "\n", 1)
    (found,) = faults(tmp_path, text)
    assert found.startswith("a.toml:5: adopt.game.") and told in found


@pytest.mark.parametrize(("text", "told"), [
    ('[adopt.game]\nversion = "1"\nports = ["1:1"]\n', "a.toml:1: adopt.game.unit: missing; write unit = "),
    ('[adopt.a]\nversion = "1"\ncontainer = "a b"\nports = ["1:1"]\n', 'allowed: the name of a container, such as "nextcloud"'),
    ('[adopt.a]\nversion = "1"\ncompose = "shop"\nports = ["1:1"]\n', 'adopt.a.service: missing; write service = "web"'),
    ('[adopt.a]\nversion = "1"\ncompose = "Shop"\nservice = "a"\nports = ["1:1"]\n', "allowed: the name of a Compose project"),
    ('[adopt.a]\nversion = "1"\ncompose = "a"\nservice = "a b"\nports = ["1:1"]\n', "allowed: the name of a service of"),
    ('[adopt.a]\nversion = "1"\ncontainer = 5\nports = ["1:1"]\n', "expected the name of a container"),
    ('[adopt.a]\nversion = "1"\ncontainer = "ondemand-web"\nports = ["1:1"]\n', "it is a container of such a package"),
    ('[adopt.game]\nversion = "1"\nunit = "a.service"\n', "a.toml:1: adopt.game.ports: missing; write ports = "),
    ('[adopt]\nunit = "a.service"\n', "write [adopt.NAME] instead of [adopt]"),
    (WEB + '[adopt.web]\nversion = "1"\nunit = "a.service"\nports = ["81:80"]\n', "the name is already declared at "),
    (WEB + '[adopt.a]\nversion = "1"\nunit = "a.service"\nports = ["80:81"]\n', "the container 'web' ("),
    ('[adopt.a]\nversion = "1"\nunit = "a.service"\nports = ["80:81"]\n' + GAME.replace("25565:25565\"", '80:1"', 1),
     "the adopted service 'a' ("),
    (GAME + 'requires = ["game"]\n', "dependency cycle game -> game: each would wait for the next one"),
])
def test_what_is_missing_or_stands_twice_is_told(tmp_path: Path, text: str, told: str) -> None:
    (found,) = faults(tmp_path, text)
    assert told in found


def test_the_defaults_of_the_file_hold_for_it_as_far_as_they_can(tmp_path: Path) -> None:
    (game,) = declared(tmp_path, '[package]\nengine = "podman"\nversion = "7"\n' + GAME.replace('version = "1"\n', ""))
    assert (game.version, game.stop_timeout, game.adopted) == ("7", 90, Adopted(unit="lxc@game.service"))


@pytest.mark.parametrize("format", ["deb", "rpm"])
def test_its_package_needs_no_engine_and_brings_nothing_to_make(tmp_path: Path, format: str) -> None:
    (game,) = declared(tmp_path, GAME + 'address = "10.0.3.5"\nrequires = ["db"]\n')
    package = packed(game, format)
    relations = " ".join(package.relations[FORMATS[format].depends])
    assert "docker" not in relations and "podman" not in relations and "ondemand-db" in relations
    paths = {entry.path for entry in package.entries}
    assert "/etc/ondemand/game.env" not in paths and "/usr/libexec/ondemand-game/engines/docker.py" not in paths
    assert "/usr/libexec/ondemand-game/engines/unit.py" in paths
    known = json.loads(content(package, "/usr/libexec/ondemand-game/container.json"))
    assert (known["unit"], known["address"], known["targets"], known["udp_targets"]) == (
        "lxc@game.service", "10.0.3.5", [25565], [25565])
    told = " ".join(package.description)
    assert "starts the unit lxc@game.service, which is there already, and is answered by it" in told
    assert "docker" not in content(package, "/usr/share/doc/ondemand-game/README").lower()


def test_what_a_package_says_of_it_is_a_declaration_that_gives_the_same_package(tmp_path: Path) -> None:
    (game,) = declared(tmp_path, GAME + 'address = "2001:db8::5"\nidle = "5min"\n')
    assert declared(tmp_path, as_toml(game)) == [game]


def test_a_stack_may_have_one_as_a_member(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GAME + WEB + '[stack.shop]\nversion = "1"\n')
    (stack,) = reader.read_site([str(tmp_path / "a.toml")]).stacks
    assert [member.name for member in stack.members] == ["web", "game"]


def test_check_reports_what_is_of_any_service_and_nothing_of_images(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GAME.replace(', "25565:25565/udp"', ""))
    (found,) = findings(reader.read_declared([str(tmp_path / "a.toml")]))
    assert (found.rule.name, found.line, found.key) == ("readiness-by-port", 1, "adopt.game.ready")


def test_another_unit_or_address_counts_from_the_next_wake_on_and_recreates_nothing(tmp_path: Path) -> None:
    (old,) = declared(tmp_path, GAME)
    (new,) = declared(tmp_path, GAME.replace("lxc@game", "game") + 'address = "10.0.3.5"\n')
    (found,) = compare([packed(old)], [packed(new)])
    assert not found.container and [str(change) for change in found.next_wake] == [
        'unit: "lxc@game.service" -> "game.service"', 'address: new: "10.0.3.5"']


def test_it_can_not_be_exported_and_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GAME)
    objects, losses = kubernetes.objects(reader.read_declared([str(tmp_path / "a.toml")]), False)
    assert objects == [] and "a unit of systemd stays on its host" in str(losses[0])


@pytest.mark.parametrize(("known", "told"), [
    (Unit(load="not-found"), "the unit a.service does not exist, so the next wake fails"),
    (Unit(load="masked"), "the unit a.service is masked, so the next wake fails"),
    (Unit(file_state="enabled"), "a.service is enabled: from each boot on it runs"), (Unit(), None)])
def test_doctor_looks_at_the_unit(known: Unit, told: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "units", lambda _: {"a.service": known})
    found = [trouble.finding for trouble in checks.adopted(Installed("a", "ondemand-a", unit="a.service"), {})]
    assert not found if told is None else told in found[0]
    assert list(checks.engine(Installed("a", "ondemand-a", unit="a.service"), {})) == []


# On a host

SHOWN = ("LoadState=loaded\nActiveState={active}\nSubState={sub}\nFreezerState={freezer}\nMainPID={pid}\nInvocationID=0a\n"
         "ExecMainCode={code}\nExecMainStatus={status}\nResult=success\nUnitFileState=disabled\n")


class Systemd:
    """The command systemctl as it answers on a host, with a unit whose state a test decides."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown, self.asked = directory / "shown", directory / "asked"
        command = directory / "systemctl"
        command.write_text(f'#!/bin/sh\necho "$*" >>{self.asked}\n[ "$1" != show ] || cat {self.shown}\n'
                           f'[ "$1" = show ] || {{ echo "Refused." >&2; exit 1; }}\n')
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
        declared = {"unit": "a.service", "targets": [80], "udp_targets": [], "spec": "f" * 64}
        (directory / "container.json").write_text(json.dumps(declared))
        monkeypatch.setattr(unit, "DECLARATION", str(directory / "container.json"))

    def shows(self, active: str = "active", sub: str = "running", freezer: str = "running", pid: int = 0, code: int = 0,
              status: int = 0) -> None:
        self.shown.write_text(SHOWN.format(active=active, sub=sub, freezer=freezer, pid=pid, code=code, status=status))


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    return Systemd(tmp_path, monkeypatch)


@pytest.mark.usefixtures("manager")
def test_its_engine_is_never_noted_and_never_another_one() -> None:
    engine = chosen.engine("unit")
    chosen.note(engine)
    assert engine.word == "unit" and not os.path.exists(names.ENGINE_RECORD)


@pytest.mark.parametrize(("active", "sub", "is_running"), [
    ("active", "running", True), ("activating", "start", True), ("reloading", "reload", True), ("deactivating", "stop", False),
    ("inactive", "dead", False), ("failed", "failed", False), ("activating", "auto-restart", False)])
def test_a_unit_runs_from_its_start_until_it_is_stopped(manager: Systemd, active: str, sub: str, is_running: bool) -> None:
    manager.shows(active, sub, pid=7)
    seen = chosen.engine("unit").look(names.WORKLOAD)
    assert seen is not None and (seen.is_running, seen.life) == (is_running, "7/0a" if is_running else "")


@pytest.mark.parametrize(("active", "code", "status", "expected"), [
    ("inactive", 1, 0, 0), ("failed", 1, 3, 3), ("failed", 2, 9, 137), ("failed", 0, 0, 1)])
def test_its_exit_status_is_that_of_its_main_process(
    manager: Systemd, active: str, code: int, status: int, expected: int,
) -> None:
    manager.shows(active, "dead", code=code, status=status)
    seen = chosen.engine("unit").look("a.service")
    assert seen is not None and seen.status == expected


def test_one_without_a_main_process_lives_as_long_as_systemd_says_so(manager: Systemd) -> None:
    engine = chosen.engine("unit")
    manager.shows()
    assert engine.is_alive("0/0a") and not engine.is_alive("0/0b") and engine.process("0/0a") is None
    assert engine.descriptor_of_end("0/0a") is None
    manager.shows("inactive", "dead")
    assert not engine.is_alive("0/0a")


def test_what_systemd_refuses_is_told_in_its_words(manager: Systemd) -> None:
    engine = chosen.engine("unit")
    manager.shows("inactive", "dead")
    with pytest.raises(EngineError, match=r"^Refused\.$"):
        engine.begin("a.service").done()
    manager.shows()
    with pytest.raises(EngineError, match=r"^Refused\.$"):
        engine.freeze("a.service")


def test_no_other_workload_has_its_names(manager: Systemd) -> None:
    manager.shows()
    assert chosen.engine("unit").look(names.WORKLOAD + ".previous") is None


def test_a_package_that_is_removed_stops_nothing(manager: Systemd) -> None:
    manager.shows()
    os.makedirs(names.STATE)
    Path(names.LEAVE).touch()
    chosen.engine("unit").stop("a.service")
    assert not manager.asked.exists()


SERVER = """
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
client = server.accept()
input()
"""


def test_a_client_that_does_not_come_from_the_relay_is_another_one() -> None:
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    port = int(server.stdout.readline())
    try:
        assert not networks.has_other_clients(server.pid, [port], None)
        with socket.create_connection(("127.0.0.1", port), timeout=10):
            assert networks.has_other_clients(server.pid, [port], None)
            assert not networks.has_other_clients(server.pid, [port], os.getuid()), "the relay runs as that user"
            assert not networks.has_other_clients(server.pid, [port + 1], None)
    finally:
        server.communicate("\n")


def test_the_address_is_that_of_the_network_of_a_child_else_the_hosts() -> None:
    need("ip", "unshare", root=True)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        ports, of_udp = [server.getsockname()[1]], [datagrams.getsockname()[1]]
        assert networks.addresses_of(os.getpid(), ports, []) == networks.addresses_of(os.getpid(), [], of_udp) == networks.OF_HOST
        assert networks.addresses_of(os.getpid(), of_udp, []) == [], "a container may not have its network yet"
    script = ("ip link add v0 type veth peer name v1 && ip link set v1 up && ip link set v0 up && "
              "ip address add 192.0.2.9/24 dev v0 && ip address add 2001:db8::9/64 dev v0 nodad && echo up && read line")
    starter = f"import subprocess; subprocess.run(['unshare', '--net', 'sh', '-c', {script!r}])"
    process = subprocess.Popen([sys.executable, "-c", starter], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        assert networks.addresses_of(process.pid, [80], []) == ["192.0.2.9", "2001:db8::9"]
    finally:
        process.communicate("\n")
