"""What users may rely on of path = "kernel": whom the kernel leads past the relay, and that nobody is lost by it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import control
import kernel
import passing
import pytest
import relay
import words
from carriers import kernel as past
from carriers.clients import parse_network
from engines import forwarding
from loop import Loop

from ondemand_pkg.contents import package_of
from ondemand_pkg.contents.helper_files import modules
from ondemand_pkg.contents.units import units
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.engines.choice import engine_of
from ondemand_pkg.errors import DeclarationError
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.model import Container, Resolved

WEB = '[container.web]\nimage = "nginx:1"\nversion = "1"\n'
PORTS = 'ports = ["80:8080"]\n'
KERNEL = 'path = "kernel"\n'


def declared(tmp_path: Path, text: str) -> Container:
    path = tmp_path / "site.toml"
    path.write_text(text)
    return next(one for one in read([str(path)]) if one.name == "web")


# The package


def test_the_helper_is_a_unit_of_its_own_with_one_capability(tmp_path: Path) -> None:
    found = units(declared(tmp_path, WEB + PORTS + KERNEL + 'allow = ["10.0.0.0/8"]\n'))
    helper = found["ondemand-kernel@web.service"]
    assert "ExecStart=/usr/libexec/ondemand-web/kernel --allow 10.0.0.0/8 80:8080\n" in helper
    assert "ExecStopPost=/usr/libexec/ondemand-web/kernel --clear\n" in helper
    assert "CapabilityBoundingSet=CAP_NET_ADMIN\n" in helper and "AmbientCapabilities" not in helper
    assert " --path kernel 8080\n" in found["ondemand-web.service"]
    assert "CapabilityBoundingSet=\n" in found["ondemand-web.service"], "the relay has no rights"


@pytest.mark.parametrize("text", [
    WEB + PORTS, WEB + PORTS + 'path = "relay"\n', WEB + PORTS + KERNEL + 'proxy_protocol = "v1"\n',
    WEB + 'ports = ["/run/web.sock:80", "53:53/udp", "127.0.0.1:80:80", "[::1]:80:80"]\n' + KERNEL])
def test_what_has_nobody_to_lead_there_has_nothing_of_it(tmp_path: Path, text: str) -> None:
    container = declared(tmp_path, text)
    assert not any("kernel" in name for name in [*units(container), *modules(container)])
    assert "--path" not in units(container)["ondemand-web.service"]


def test_the_key_is_not_what_a_container_is_made_from(tmp_path: Path) -> None:
    files = [engine_of(one).specification_file(Resolved(one)) for one in (
        declared(tmp_path, WEB + PORTS), declared(tmp_path, WEB + PORTS + KERNEL))]
    assert files[0] == files[1]


@pytest.mark.parametrize("format_name", ["deb", "rpm"])
def test_a_removal_stops_it_and_an_upgrade_leaves_what_runs(tmp_path: Path, format_name: str) -> None:
    package = package_of.package(Resolved(declared(tmp_path, WEB + PORTS + KERNEL)), FORMATS[format_name], 0)
    text = next(text for name, text in vars(package.scripts).items() if "pre" in name and "un" in name or name == "prerm") \
        if not isinstance(package.scripts, dict) else next(
            str(text) for name, text in package.scripts.items() if "preun" in str(name).lower() or "prerm" in str(name).lower())
    assert "ondemand-kernel@web.socket" in text and "ondemand-kernel@web.service" in text


@pytest.mark.parametrize("more", ["", 'health = { path = "/healthz" }\n'])
def test_a_downgrade_to_a_release_that_does_not_know_its_socket_closes_it(tmp_path: Path, more: str) -> None:
    """Only what is there after the new files are: the removal scripts of this version, which ask them."""
    for name, script in (("deb", "postrm"), ("rpm", "postun")):
        found = package_of.package(Resolved(declared(tmp_path, WEB + PORTS + KERNEL + more)), FORMATS[name], 0).scripts[script]
        closed = [line.split(";")[1:2] for line in found.splitlines() if "grep -qsF" in line]
        sockets = (["ondemand-web-container.socket"] if more else []) + ["ondemand-kernel@web.socket"]
        assert closed == [[f" then systemctl stop {one} >/dev/null 2>&1 || true"] for one in sockets]
    assert "grep -qsF" not in package_of.package(Resolved(declared(tmp_path, WEB + PORTS)), FORMATS["deb"], 0).scripts["postrm"]


@pytest.mark.parametrize(("text", "message"), [
    (WEB + PORTS + 'path = "ebpf"\n', 'path: found "ebpf"; allowed: "relay" or "kernel"'),
    (WEB + PORTS + "path = true\n", "path: found true; expected"),
    (WEB + PORTS + KERNEL + 'proxy = "systemd-socket-proxyd"\n', 'path: "systemd-socket-proxyd" says nobody whom'),
    (WEB + KERNEL + 'companion_of = ["x"]\n', "path: nothing connects to a companion"),
    ('[adopt.web]\nunit = "x.service"\nversion = "1"\nports = ["80:8080"]\n' + KERNEL, "path: "),
])
def test_mistakes_are_named_with_their_line_and_the_remedy(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        declared(tmp_path, text)
    assert message in str(raised.value) and f"site.toml:{text[:text.index('path =')].count(chr(10)) + 1}:" in str(raised.value)


# Who is led there


class Table:
    """Stands for the table in the kernel."""

    def __init__(self) -> None:
        self.let: list[Any] = []
        self.extended: list[str] = []
        self.numbers = {"traffic": 0, "fresh": 0, "passed": 0}
        self.is_there = True
        self.netlink = SimpleNamespace(socket=SimpleNamespace(close=lambda: None))

    def let_in(self, clients: list[Any]) -> None:
        self.let += clients

    def counted(self, counter: str) -> int:
        return self.numbers[counter]

    def let_nobody_in(self) -> None:
        self.is_there = False

    def extend(self, address: str) -> None:
        self.extended.append(address)

    def go_on(self) -> None:
        self.is_there = True

    def remove(self) -> None:
        self.is_there = False


class Host(SimpleNamespace):
    table: Table
    helper: Any
    relay: socket.socket
    run: Any


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Yield the helper between a relay and a `run`, on a host whose kernel is not there."""
    found = Host(table=Table(), told=[], cut=0, connections=[])
    monkeypatch.setattr(kernel, "Table", lambda *_: found.table)
    monkeypatch.setattr(forwarding, "remove", lambda: None)
    monkeypatch.setattr(forwarding, "let_through", lambda ways: None)
    monkeypatch.setattr(kernel, "interface_to", lambda address: "docker0")
    monkeypatch.setattr(kernel, "is_local", lambda address: address == "127.0.0.1")
    monkeypatch.setattr(kernel, "say", found.told.append)

    def cut(connections: list[Any]) -> None:
        found.cut += 1

    monkeypatch.setattr(kernel, "Connections", lambda _: SimpleNamespace(all=lambda: found.connections, cut=cut))
    said: list[str] = []
    found.run = said
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind("")
    listener.listen()
    run: Any = SimpleNamespace(tell=said.append)
    found.helper = kernel.Kernel(listener, run, [], [("192.0.2.9", 80, 1), ("", 80, 8080)])
    with listener, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(listener.getsockname())
        found.relay = client
        yield found


def lead(host: Host, addresses: str = "172.17.0.2,fd00::2") -> None:
    host.helper.hear_run(["ready", "172.17.0.2"])
    host.helper.accept()
    host.helper.hear_run([words.MAY, addresses])


def accepted(host: Host, *clients: str) -> None:
    for client in clients:
        host.relay.send(f"{words.ACCEPTED} {client}".encode())
    host.helper.hear_relay(host.helper.relay)


def test_it_asks_run_first_and_only_with_a_relay(host: Host) -> None:
    host.helper.hear_run(["ready", "172.17.0.2"])
    assert host.run == []
    host.helper.accept()
    assert host.run == [f"{words.PASSES} 1,8080"] and host.helper.table is None


def test_an_accepted_client_is_led_to_the_port_that_is_declared_at_an_address_of_its_kind(host: Host) -> None:
    lead(host)
    accepted(host, "10.0.0.1 192.0.2.1 80", "10.0.0.1 192.0.2.9 80", "2001:db8::1 2001:db8::9 80")
    assert host.table.let == [("10.0.0.1", "192.0.2.1", 80, "172.17.0.2", 8080), ("10.0.0.1", "192.0.2.9", 80, "172.17.0.2", 1),
                              ("2001:db8::1", "2001:db8::9", 80, "fd00::2", 8080)]


def test_whom_the_relay_accepts_before_the_rules_are_there_is_led_from_then_on(host: Host) -> None:
    host.helper.accept()
    accepted(host, "10.0.0.1 192.0.2.1 80")
    assert host.table.let == []
    host.helper.hear_run(["ready", "172.17.0.2"])
    host.helper.hear_run([words.MAY, "172.17.0.2"])
    assert [client[0] for client in host.table.let] == ["10.0.0.1"]


def test_an_address_of_the_container_that_was_not_there_yet_is_asked_for_when_a_client_needs_it(host: Host) -> None:
    lead(host, "172.17.0.2")
    accepted(host, "2001:db8::1 2001:db8::9 80", "2001:db8::2 2001:db8::9 80")
    assert host.run == 2 * [f"{words.PASSES} 1,8080"], "once in a while, not at each client"
    host.helper.hear_run([words.MAY, "172.17.0.2,fd00::2"])
    assert host.table.extended == ["fd00::2"]
    assert [(client[0], client[3]) for client in host.table.let] == [("2001:db8::1", "fd00::2"), ("2001:db8::2", "fd00::2")]


@pytest.mark.parametrize("client", [
    "10.0.0.1 192.0.2.1 22", "10.0.0.1 192.0.2.1 x", "10.0.0.1 192.0.2.1", "nobody 192.0.2.1 80", "10.0.0.1 ::1 80",
    "2001:db8::1 2001:db8::9 80", "10.0.0.1 192.0.2 80", "\xff 192.0.2.1 80"])
def test_a_relay_that_was_taken_over_opens_no_other_port(host: Host, client: str) -> None:
    lead(host, "172.17.0.2")
    accepted(host, client)
    assert host.table.let == []


def test_allow_holds_whatever_the_relay_says(host: Host) -> None:
    host.helper.allowed = [parse_network("10.0.0.0/8")]
    lead(host)
    accepted(host, "10.1.2.3 192.0.2.1 80", "11.1.2.3 192.0.2.1 80", "2001:db8::1 2001:db8::9 80")
    assert [client[0] for client in host.table.let] == ["10.1.2.3"]


def test_without_a_relay_nobody_is_led_there(host: Host) -> None:
    lead(host)
    host.relay.close()
    host.helper.hear_relay(host.helper.relay)
    assert host.helper.table is None and not host.table.is_there and host.cut == 0


@pytest.mark.parametrize(("why", "cuts"), [([words.IDLE, words.PAUSED], 1), ([words.IDLE], 0), ([], 0)])
def test_before_a_pause_or_a_stop_the_rules_go_first(host: Host, why: list[str], cuts: int) -> None:
    lead(host)
    host.helper.hear_run([words.CLOSE, *why])
    assert not host.table.is_there and host.run[-1] == words.CLOSED
    assert host.cut == cuts, "a server that stops ends its connections itself; one that is paused would let them hang"


@pytest.mark.parametrize("counter", ["traffic", "fresh"])
def test_who_comes_between_the_relays_last_look_and_the_sleep_keeps_it_awake(host: Host, counter: str) -> None:
    lead(host)
    host.table.numbers.update(traffic=3, fresh=1)
    host.relay.send(words.STATUS.encode())
    host.helper.hear_relay(host.helper.relay)
    host.table.numbers[counter] += 1
    host.helper.hear_run([words.CLOSE, words.IDLE])
    assert host.run[-1] == words.BUSY and host.table.is_there and host.helper.table is not None
    host.helper.hear_run([words.CLOSE])
    assert host.run[-1] == words.CLOSED and not host.table.is_there, "whoever stops it by hand is heeded"


def test_a_workload_with_the_hosts_address_stays_with_the_relay_which_is_said_once(host: Host) -> None:
    lead(host, "127.0.0.1")
    assert host.helper.table is None
    assert host.told == ['path = "kernel" is not possible: the container has the host\'s own address; the relay forwards all '
                         "connections"]
    host.helper.hear_run(["ready", "127.0.0.1"])
    assert len(host.told) == 1 and host.run == [f"{words.PASSES} 1,8080"]


@pytest.mark.parametrize(("is_complete", "mends"), [(True, 0), (False, 1)])
def test_clients_whose_packets_are_dropped_are_given_back_to_the_relay(host: Host, monkeypatch: pytest.MonkeyPatch,
                                                                       is_complete: bool, mends: int) -> None:
    mended: list[Any] = []
    monkeypatch.setattr(forwarding, "is_complete", lambda ways: is_complete)
    lead(host)
    monkeypatch.setattr(forwarding, "let_through", mended.append)
    for number in range(1, 8):
        host.table.numbers["fresh"] = number
        if host.helper.table is not None:
            host.helper.look_for_losses(host.table)
    assert host.helper.table is None and "a firewall drops" in host.told[0] and len(mended) == mends


def test_one_packet_under_way_is_no_loss(host: Host) -> None:
    lead(host)
    for number in range(1, 8):
        host.table.numbers.update(fresh=number, passed=number - number % 2)
        host.helper.look_for_losses(host.table)
    assert host.helper.table is not None


def test_the_relay_is_told_what_has_moved_and_what_is_open(host: Host) -> None:
    lead(host)
    host.table.numbers["traffic"] = 7
    host.connections = [SimpleNamespace(is_open=True), SimpleNamespace(is_open=False)]
    answers = []
    for _ in range(2):
        host.relay.send(words.STATUS.encode())
        host.helper.hear_relay(host.helper.relay)
        answers.append(host.relay.recv(100).decode())
    assert answers == [f"{words.NUMBERS} 1 1", f"{words.NUMBERS} 0 1"]


@pytest.mark.parametrize("argv", [[], ["80"], ["--allow"], ["--allow", "x", "80:80"], ["x:80"]])
def test_a_wrong_call_is_a_usage_error(argv: list[str]) -> None:
    assert kernel.main(argv) == 2


# The relay's side


@pytest.fixture
def channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[past.Passing, socket.socket]]:
    door = str(tmp_path / "door")
    monkeypatch.setattr(past, "KERNEL_DOOR", door)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(door)
        listener.listen()
        carrier = past.Passing(Loop())
        carrier.lead_to((socket.AF_INET, "172.17.0.2"))
        helper, _ = listener.accept()
        with helper:
            helper.settimeout(5)
            yield carrier, helper


def client_of(source: str, address: str = "192.0.2.1") -> Any:
    return SimpleNamespace(family=socket.AF_INET6, getpeername=lambda: (source, 999, 0, 0),
                           getsockname=lambda: (address, 80, 0, 0))


def test_the_relay_says_whom_it_has_accepted_once_in_a_while(channel: tuple[past.Passing, socket.socket]) -> None:
    carrier, helper = channel
    for source in ("::ffff:10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", "fe80::1%eth0", "::ffff:192.0.2.1"):
        carrier.accepted(client_of(source, "::ffff:192.0.2.1"))
    assert [helper.recv(100).decode() for _ in range(2)] == [f"{words.ACCEPTED} 10.0.0.1 192.0.2.1 80",
                                                              f"{words.ACCEPTED} 2001:db8::1 192.0.2.1 80"]
    helper.setblocking(False)
    with pytest.raises(BlockingIOError):
        helper.recv(100)


def test_what_moves_there_is_traffic_and_no_answer_is_too(channel: tuple[past.Passing, socket.socket],
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    carrier, helper = channel

    def answer(text: str) -> None:
        assert helper.recv(100).decode() == words.STATUS
        helper.send(text.encode())

    for text, moved in ((f"{words.NUMBERS} 1 3", True), (f"{words.NUMBERS} 0 3", False)):
        thread = threading.Thread(target=answer, args=(text,))
        thread.start()
        assert carrier.has_moved() is moved
        thread.join()
    monkeypatch.setattr(past, "PATIENCE", 1)
    assert carrier.has_moved() and carrier.open == 3


def test_a_helper_that_ends_is_called_again(channel: tuple[past.Passing, socket.socket]) -> None:
    carrier, helper = channel
    helper.close()
    assert carrier.has_moved() is False and carrier.channel is None and carrier.due() is not None
    carrier.lead_to(None)
    assert carrier.due() is None


def test_without_a_helper_one_line_says_so_and_the_relay_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(past, "KERNEL_DOOR", str(tmp_path / "none"))
    monkeypatch.setattr(past, "say", told.append)
    carrier = past.Passing(Loop())
    for _ in range(2):
        carrier.lead_to((socket.AF_INET, "172.17.0.2"))
        carrier.accepted(client_of("10.0.0.1"))
    assert len(told) == 1 and "the relay forwards all connections" in told[0]
    assert (carrier.has_moved(), carrier.connections(), carrier.waiting(), carrier.unfinished()) == (False, 0, 0, 0)


def test_a_relay_without_the_key_loads_nothing_of_it() -> None:
    code = "import relay, sys; relay.arguments(['80']); print('carriers.kernel' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": str(Path(relay.__file__).parent)})
    assert done.stdout == "False\n"


# The side of `run`


def test_run_waits_for_the_helper_before_it_goes_on_and_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "CONTROL", str(tmp_path / "control"))
    server = control.Server()
    client = control.Client()
    server.heard(next(iter(server.listeners)))
    (descriptor,) = server.clients
    server.passing.add(descriptor)
    seen: list[list[str]] = []

    def helper() -> None:
        while not seen or seen[-1][0] != words.CLOSE:
            seen.append(client.receive())
        client.tell(words.CLOSED)

    thread = threading.Thread(target=helper)
    thread.start()
    assert passing.close(server, words.PAUSED) is False
    thread.join()
    assert seen[-1] == [words.CLOSE, words.PAUSED] and server.passing == set()
    monkeypatch.setattr(passing, "PATIENCE", 0.05)
    server.passing.add(descriptor)
    assert passing.close(server) is False  # it says nothing
    server.passing.add(descriptor)
    client.tell(words.BUSY)
    assert passing.close(server, words.IDLE) is True and server.passing == {descriptor}
    server.passing.add(descriptor)
    client.close()
    begin = time.monotonic()
    monkeypatch.setattr(passing, "PATIENCE", 60.0)
    passing.close(server)
    assert time.monotonic() - begin < 30 and server.clients == {}, "one that was killed is not awaited"


def test_clients_are_led_to_another_address_only_where_all_ports_listen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert passing.reachable(["127.0.0.2", "127.0.0.1"], "127.0.0.2", str(port)) == "127.0.0.2,127.0.0.1"
    assert passing.reachable(["127.0.0.2", "127.0.0.1"], "127.0.0.2", str(port)) == "127.0.0.2"
