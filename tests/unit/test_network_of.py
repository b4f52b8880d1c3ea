"""What users may rely on of `network_of`: what a declaration may say, and that a member runs in that network or not at all."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import control
import gateway as helper
import pytest
from engines import Engine, Seen
from engines.processes import descriptor_of_end, is_alive
from process import Failure

from ondemand_pkg.checking.findings import findings
from ondemand_pkg.contents import package_of
from ondemand_pkg.contents.declaration_file import as_toml
from ondemand_pkg.declaration.reader import read, read_declared
from ondemand_pkg.errors import DeclarationError
from ondemand_pkg.formats import DEB, FORMATS
from ondemand_pkg.model import Resolved

VPN = '[package]\nversion = "1"\n[container.vpn]\nimage = "v:1"\nexpose = ["8000"]\n'


def member(rest: str = 'ports = ["80:80"]', name: str = "web", of: str = "vpn") -> str:
    return f'[container.{name}]\nimage = "a:1"\nnetwork_of = "{of}"\n{rest}\n'


def declared(directory: Path, text: str) -> Path:
    (directory / "site.toml").write_text(text)
    return directory / "site.toml"


def faults(directory: Path, text: str) -> list[str]:
    with pytest.raises(DeclarationError) as told:
        read([str(declared(directory, text))])
    return [f"{fault.key}: {fault.message}" for fault in told.value.faults]


@pytest.mark.parametrize("format_name", ["deb", "rpm"])
def test_the_package_depends_on_the_gateways_and_stops_before_it(tmp_path: Path, format_name: str) -> None:
    _, web = read([str(declared(tmp_path, VPN + member()))])
    format = FORMATS[format_name]
    package = package_of.package(Resolved(web), format, 0)
    files = {entry.path: entry.data for entry in package.entries}
    unit = files["/usr/lib/systemd/system/ondemand-web-container.service"].decode()
    assert "ondemand-vpn" in package.relations[format.depends]
    assert "PartOf=ondemand-vpn-container.service\nAfter=ondemand-vpn-container.service\n" in unit
    assert "/run --require vpn --network-of vpn -- " in unit and "/usr/libexec/ondemand-web/gateway.py" in files
    specification = json.loads(files["/usr/libexec/ondemand-web/container.json"])
    assert specification["network_of"] == "vpn" and specification["requires"] == ["vpn"]


def test_a_companion_of_its_gateway_does_not_keep_that_awake(tmp_path: Path) -> None:
    _, web = read([str(declared(tmp_path, VPN + member('companion_of = ["vpn"]')))])
    unit = package_of.package(Resolved(web), DEB, 0)
    text = {entry.path: entry.data for entry in unit.entries}["/usr/lib/systemd/system/ondemand-web-container.service"].decode()
    assert "--require" not in text and "--network-of vpn --companion" in text
    assert "ondemand-vpn" in unit.relations[DEB.depends]


def test_others_have_nothing_of_it(tmp_path: Path) -> None:
    (vpn,) = read([str(declared(tmp_path, VPN))])
    files = {entry.path: entry.data for entry in package_of.package(Resolved(vpn), DEB, 0).entries}
    assert "/usr/libexec/ondemand-vpn/gateway.py" not in files
    assert "network_of" not in json.loads(files["/usr/libexec/ondemand-vpn/container.json"])


def test_a_package_holds_it_in_its_declaration(tmp_path: Path) -> None:
    _, web = read([str(declared(tmp_path, VPN + member()))])
    assert 'network_of = "vpn"' in as_toml(web).replace("  ", " ").replace("  ", " ").replace("  ", " ")
    assert read([str(declared(tmp_path, as_toml(web)))]) == [web]


@pytest.mark.parametrize(("text", "told"), [
    (member('ports = ["80:80"]\nlinks = ["vpn"]'), "container.web.links: the names that it reaches are those of 'vpn', whose "
     "network it has; write links into [container.vpn]"),
    (member('expose = ["80"]\naddress = "198.18.0.5"'), "container.web.address: its network, with the addresses and names in it, "
     "is that of 'vpn'; leave the key out"),
    (member('expose = ["80"]\naliases = ["x"]'), "container.web.aliases: its network, with the addresses and names in it, is "
     "that of 'vpn'; leave the key out"),
    (member('ports = ["80:80"]\ncreate_args = ["--network=x"]'), "container.web.create_args: --network and network_of both say "
     "which network it has: that of 'vpn'; leave one of the two out"),
    (member('ports = ["80:80"]\ncreate_args = ["--hostname=x"]'), "container.web.create_args: --hostname is about its network, "
     "which is that of 'vpn'; write it into create_args of [container.vpn], or leave it out"),
    (member('companion_of = ["vpn"]\nbefore = ["vpn"]'), "container.web.before: 'vpn' would wait for it, and it waits for the "
     "network of 'vpn'; leave it out"),
    (member(of="web"), "container.web.network_of: dependency cycle web -> web: each would wait for the next one; leave one of "
     "these names out"),
    (member() + member('ports = ["81:81"]', "api", "web"), 'container.api.network_of: found "web"; that one has the network of '
     'another container itself; write network_of = "vpn"'),
    (member(of="job") + '[container.job]\nimage = "a:1"\ntask = true\nschedule = "03:30"\n', "container.web.network_of: found "
     '"job"; that one is a task, which ends before others start; name a container that keeps running'),
    (member(of="game") + '[adopt.game]\nunit = "game.service"\nversion = "1"\nports = ["90:90"]\n', "container.web.network_of: "
     'found "game"; it is an adopted service, whose network the engine does not know; name a container'),
    (member() + '[stack.shop]\nmembers = ["web"]\n' + member('ports = ["81:81"]', "api", "shop"), "container.api.network_of: "
     '"shop" is a stack; name the members that are to be woken'),
    (member() + member('ports = ["81:80"]', "api"), "container.api.ports: the container 'web', with which it shares a network, "
     "listens on port 80 too: one of them can't; let one of them listen on another port inside"),
    (member('ports = ["80:8000"]'), "container.web.ports: the container 'vpn', with which it shares a network, listens on port "
     "8000 too: one of them can't; let one of them listen on another port inside"),
])
def test_what_does_not_go_with_it_is_told(tmp_path: Path, text: str, told: str) -> None:
    assert faults(tmp_path, VPN + text) == [told]


def test_two_engines_share_no_network(tmp_path: Path) -> None:
    text = VPN.replace("expose", 'engine = "docker"\nexpose') + member('ports = ["80:80"]\nengine = "podman"')
    assert faults(tmp_path, text) == ['container.web.network_of: found "vpn"; the two have different engines; write one engine '
                                      "for both"]


def test_a_gateway_that_no_file_declares_is_a_note(tmp_path: Path) -> None:
    text = '[package]\nversion = "1"\n' + member()
    assert "requires-unknown" in [one.rule.name for one in findings(read_declared([str(declared(tmp_path, text))]))]


class Host(Engine):
    """An engine whose workloads are processes of the test."""

    title = "Test"

    def __init__(self) -> None:
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.mode = "identity-vpn"

    def start(self, name: str) -> str:
        self.processes[name] = subprocess.Popen(["sleep", "600"])
        return str(self.processes[name].pid)

    def look(self, name: str, patience: Any = None) -> Seen | None:
        name = name.removeprefix("identity-").removeprefix("ondemand-")
        if name not in self.processes:
            return None
        runs = self.processes[name].poll() is None
        return Seen(runs, False, "f" * 64, str(self.processes[name].pid) if runs else "", identity=f"identity-{name}")

    def joined(self, seen: Seen) -> str:
        return self.mode

    def is_alive(self, life: str) -> bool:
        return is_alive(int(life))

    def process(self, life: str) -> int | None:
        return int(life)

    def descriptor_of_end(self, life: str) -> int | None:
        return descriptor_of_end(int(life))


@pytest.fixture
def host() -> Iterator[Host]:
    engine = Host()
    yield engine
    for process in engine.processes.values():
        process.kill()
        process.wait()


@pytest.fixture
def gateway(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[helper.Gateway]:
    """Return the gateway, whose `run` says that it is ready."""
    (tmp_path / "vpn").mkdir()
    monkeypatch.setattr(helper, "STATE", f"{tmp_path}/")
    monkeypatch.setattr(helper.Gateway, "await_ready", lambda _: None)
    host.start("vpn")
    found = helper.Gateway("vpn")
    yield found
    found.leave()


def seen(host: Host, name: str) -> Seen:
    found = host.look(name)
    assert found is not None
    return found


def test_a_member_is_killed_with_its_gateway(host: Host, gateway: helper.Gateway) -> None:
    gateway.meet(host)
    host.start("web")
    gateway.guard(host, seen(host, "web"))
    assert host.processes["web"].poll() is None
    host.processes["vpn"].kill()
    assert host.processes["web"].wait(10) == -9


def test_a_member_is_killed_without_descriptors_of_the_kernel_too(host: Host, gateway: helper.Gateway,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Host, "descriptor_of_end", lambda *_: None)
    gateway.meet(host)
    host.start("web")
    gateway.guard(host, seen(host, "web"))
    host.processes["vpn"].kill()
    assert host.processes["web"].wait(10) == -9


def test_the_guard_ends_with_the_member(host: Host, gateway: helper.Gateway) -> None:
    import select

    gateway.meet(host)
    host.start("web")
    gateway.guard(host, seen(host, "web"))
    assert gateway.guarding is not None
    host.processes["web"].kill()
    assert select.select([gateway.guarding], [], [], 10)[0] and host.processes["vpn"].poll() is None


def test_a_member_in_another_network_is_killed_at_once(host: Host, gateway: helper.Gateway) -> None:
    gateway.meet(host)
    gateway.network = "net:[1]"
    host.start("web")
    with pytest.raises(Failure, match="ended or started again meanwhile"):
        gateway.guard(host, seen(host, "web"))
    assert host.processes["web"].wait(10) == -9


def test_a_member_does_not_start_in_the_network_of_an_older_container(host: Host, gateway: helper.Gateway) -> None:
    gateway.meet(host)
    host.start("web")
    gateway.check(host, "ondemand-web")
    for mode in ("", "identity-older"):
        host.mode = mode
        with pytest.raises(Failure, match="is not in the network of 'vpn'"):
            gateway.check(host, "ondemand-web")


def test_a_member_does_not_start_without_its_gateway(host: Host, gateway: helper.Gateway) -> None:
    host.processes["vpn"].kill()
    host.processes["vpn"].wait()
    with pytest.raises(Failure, match="does not run"):
        gateway.meet(host)
    del host.processes["vpn"]
    with pytest.raises(Failure, match="does not exist at Test; install ondemand-vpn"):
        gateway.meet(host)


@pytest.mark.parametrize(("told", "is_ready"), [("ready 172.17.0.2", True), ("failed 1", False), ("stopping", False),
                                                ("paused", False)])
def test_a_member_waits_until_its_gateway_is_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str,
                                                   is_ready: bool) -> None:
    import threading

    (tmp_path / "vpn").mkdir()
    monkeypatch.setattr(helper, "STATE", f"{tmp_path}/")
    found = helper.Gateway("vpn")
    with pytest.raises(Failure, match="is asleep"):
        found.await_ready()
    monkeypatch.setattr(control, "CONTROL", str(tmp_path / "vpn/control"))
    server: Any = control.Server()
    server.tell("started 172.17.0.2 42")

    def serve() -> None:
        while not server.clients:
            for descriptor in server.spoken():
                server.heard(descriptor)
            time.sleep(0.001)
        server.tell(told)

    threading.Thread(target=serve, daemon=True).start()
    if is_ready:
        found.await_ready()
    else:
        with pytest.raises(Failure, match="is not ready"):
            found.await_ready()
    server.close()
