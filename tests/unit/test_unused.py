"""What users may rely on of `ondemand survey`: who is in use, who is not, and that the rest is named."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requirements import need

from ondemand_host import engines, main, memory, traffic, unused
from ondemand_host.engines import Container
from ondemand_host.traffic import ACK, IPV4, IPV6, SYN, TCP, UDP, Packet, Traffic, packet
from ondemand_host.unused import Candidates, Findings, Observed

CLIENT, OWN = "192.0.2.7", "172.17.0.2"
HOST, SERVED = "fd6b:1::1", "fd6b:1::2"  # both ends of the link to a network of a test's own
SERVER = """
import socket, sys
server = socket.create_server(("", 80), family=socket.AF_INET6, dualstack_ipv6=True)
print("up", flush=True)
while True:
    client, _ = server.accept()
    client.sendall(b"x" * len(client.recv(64)))
    client.close()
"""


def container(name: str = "wiki", ports: tuple[str, ...] = ("8080->80/tcp",), **facts: bool) -> Container:
    return Container(name, "wiki:1", 1, "2026-03-01", engines.OWN_NETWORK, ports, facts.get("is_of_a_package", False))


def tcp(flags: int, data: bytes = b"", is_outgoing: bool = False, port: int = 80, client_port: int = 5000) -> bytes:
    ports = (port, client_port) if is_outgoing else (client_port, port)
    segment = struct.pack(">HHIIBBHHH", *ports, 0, 0, 5 << 4, flags, 0, 0, 0) + data
    ends = [CLIENT, OWN]
    addresses = b"".join(map(socket.inet_aton, reversed(ends) if is_outgoing else ends))
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0, 64, TCP, 0) + addresses + segment


def read(kind: int, head: bytes) -> Packet:
    found = packet(kind, head)
    assert found is not None
    return found


def test_a_connection_that_the_container_takes_is_counted_once_with_its_data() -> None:
    seen = Traffic()
    seen.see(read(IPV4, tcp(SYN)), False)
    assert not seen.is_any, "an attempt alone is no use"
    for _ in range(2):  # the kernel sends it again where its answer is late
        seen.see(read(IPV4, tcp(SYN | ACK, is_outgoing=True)), True)
    seen.see(read(IPV4, tcp(ACK, b"GET /")), False)
    seen.see(read(IPV4, tcp(ACK, b"no", is_outgoing=True)), True)
    assert (seen.connections, seen.bytes, seen.clients, seen.ports) == (1, 7, {CLIENT: 1}, {80})


def test_what_the_container_asks_of_others_is_no_use_of_it() -> None:
    seen = Traffic()
    for flags, is_outgoing in ((SYN, True), (SYN | ACK, False), (ACK, True), (ACK, False)):
        seen.see(read(IPV4, tcp(flags, b"x" if flags == ACK else b"", is_outgoing, port=40000, client_port=443)), is_outgoing)
    assert not seen.is_any and not seen.bytes


@pytest.mark.parametrize(("port", "is_any"), [(53, True), (40000, False)])
def test_a_datagram_counts_where_the_container_offers_its_port_and_not_as_an_answer(port: int, is_any: bool) -> None:
    addresses = socket.inet_pton(socket.AF_INET6, "2001:db8::7") + socket.inet_pton(socket.AF_INET6, "2001:db8::2")
    datagram = struct.pack(">HHHH", 5000, port, 8 + 3, 0) + b"abc"
    found = read(IPV6, struct.pack(">IHBB", 6 << 28, len(datagram), UDP, 64) + addresses + datagram)
    seen = Traffic([53])
    seen.see(found, False)
    assert (seen.is_any, seen.bytes, seen.clients) == (is_any, 3 * is_any, {"2001:db8::7": 1} if is_any else {})


@given(st.sampled_from([IPV4, IPV6, 0x0806]), st.binary(max_size=traffic.LONGEST))
def test_no_packet_ends_the_look(kind: int, head: bytes) -> None:
    found = packet(kind, head)
    if found is not None:
        Traffic([found.target_port]).see(found, False)


def test_one_that_is_in_use_beyond_doubt_costs_the_host_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "MOST_PACKETS", 3)
    seen = Traffic()
    for _ in range(3):
        seen.see(read(IPV4, tcp(ACK)), False)
    assert not seen.is_enough, "nobody has come yet"
    seen.see(read(IPV4, tcp(SYN | ACK, is_outgoing=True)), True)
    assert seen.is_enough


@pytest.fixture
def server() -> Iterator[int]:
    """A process with a network of its own, in which it serves port 80."""
    need("ip", "unshare", root=True)
    process = subprocess.Popen(["unshare", "--net", sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    link = f"survey{os.getpid() % 100000}"
    inside = ["nsenter", "--net", "--target", str(process.pid)]
    try:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        for command in (["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(process.pid)],
                        ["ip", "address", "add", f"{HOST}/126", "dev", link, "nodad"], ["ip", "link", "set", link, "up"],
                        [*inside, "ip", "address", "add", f"{SERVED}/126", "dev", "eth0", "nodad"],
                        [*inside, "ip", "link", "set", "eth0", "up"], [*inside, "ip", "link", "set", "lo", "up"]):
            subprocess.run(command, check=True)
        yield process.pid
    finally:
        process.kill()
        process.communicate()
        subprocess.run(["ip", "link", "delete", link], check=False, stderr=subprocess.DEVNULL)


def test_a_client_is_seen_at_the_network_of_the_container_alone(server: int) -> None:
    before = os.readlink("/proc/self/ns/net")
    with traffic.watched(server) as watched:
        assert os.readlink("/proc/self/ns/net") == before
        seen = Traffic()
        with socket.create_connection((SERVED, 80), timeout=10) as client:
            assert list(traffic.open_connections(server)) == [(HOST, 80)] and traffic.has_server(server)
            client.sendall(b"hello")
            assert client.recv(64) == b"x" * 5
        traffic.listen({watched: seen}, time.monotonic() + 0.3)
    assert (seen.connections, seen.bytes, seen.clients) == (1, 10, {HOST: 1})


def test_what_a_container_says_to_itself_is_not_seen(server: int) -> None:
    with traffic.watched(server) as watched:
        seen = Traffic()
        subprocess.run(["nsenter", "--net", "--target", str(server), sys.executable, "-c",
                        "import socket; c = socket.create_connection(('127.0.0.1', 80)); c.sendall(b'x'); c.recv(1)"], check=True)
        traffic.listen({watched: seen}, time.monotonic() + 0.3)
    assert not seen.is_any


def test_memory_is_that_of_a_process_and_its_children() -> None:
    hold = "b = bytearray(40 << 20); print(flush=True); input()"
    parent = (f"import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', {hold!r}], stdin=subprocess.PIPE, "
              "stdout=subprocess.PIPE); c.stdout.readline(); print(flush=True); input(); c.communicate(b'\\n')")
    process = subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline()
    held = memory.held_by(process.pid)
    process.communicate(b"\n")
    assert held is not None and 40 << 20 < held < 120 << 20
    assert memory.held_by(process.pid) is None


class Answers(BaseHTTPRequestHandler):
    """An engine of tomorrow, which does not speak the versions of yesterday."""

    CONTAINERS = ({"Id": "a", "Name": "/wiki", "Config": {"Image": "wiki:1", "ExposedPorts": {"80/tcp": {}, "53/udp": {}}},
                   "HostConfig": {"NetworkMode": "bridge"}, "State": {"Pid": 7, "StartedAt": "then"},
                   "NetworkSettings": {"Ports": {"80/tcp": [{"HostPort": "8080"}, {"HostPort": "8080"}], "53/udp": None}}},
                  {"Id": "b", "Name": "/ondemand-web", "Config": {"Image": "web:1", "Labels": {"ondemand.spec": "f"}},
                   "HostConfig": {"NetworkMode": "host"}, "State": {"Pid": 8, "StartedAt": "then"}, "NetworkSettings": {}})

    def do_GET(self) -> None:
        version, _, target = self.path[2:].partition("/")
        found: object = {"message": "client version 1.41 is too old. Minimum supported API version is 1.44, please upgrade"}
        if version == "1.44":
            found = next((one for one in self.CONTAINERS if f"containers/{one['Id']}/json" == target),
                         [{"Id": one["Id"], "Names": [one["Name"]]} for one in self.CONTAINERS])
        self.send_response(200 if version == "1.44" else 400)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def newer(tmp_path: Path) -> Iterator[str]:
    path = str(tmp_path / "engine.sock")
    with socketserver.ThreadingUnixStreamServer(path, Answers) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield path
        listening.shutdown()


def test_an_engine_that_refuses_the_version_is_asked_in_one_that_it_speaks(newer: str) -> None:
    assert engines.running(newer) == {"wiki", "ondemand-web"}
    web, wiki = engines.containers(newer) or []
    assert (wiki.name, wiki.process, wiki.ports, wiki.is_of_a_package) == ("wiki", 7, ("53/udp", "8080->80/tcp"), False)
    assert (web.network, web.is_of_a_package, web.ports) == (engines.HOSTS_NETWORK, True, ())


def test_where_no_engine_answers_there_are_no_containers(tmp_path: Path) -> None:
    assert engines.containers(str(tmp_path / "nobody.sock")) is None


def test_containers_whose_clients_can_not_be_told_apart_are_named_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    need(root=True)
    containers = [container("hosts")._replace(process=os.getpid()), container("web", is_of_a_package=True)]
    monkeypatch.setattr(engines, "sockets_of_engines", lambda: ["/run/a.sock", "/run/b.sock"])
    monkeypatch.setattr(engines, "containers", lambda path: containers if "a" in path else None)
    monkeypatch.setattr(unused, "_of_users", lambda: [("user 1000", "containers of users were not looked at")])
    found = unused.candidates()
    assert (found.containers, found.of_packages) == ((), 1)
    assert found.not_seen == (
        ("hosts", "it shares the network of this host, where its clients can't be told apart"),
        ("/run/b.sock", "no engine answers there"), ("user 1000", "containers of users were not looked at"))


def observed(name: str, memory: int | None = 2**20, has_server: bool = True, connections: int = 0) -> Observed:
    seen = Traffic()
    for number in range(connections):
        seen.holds(f"192.0.2.{number}", 80)
    return Observed(container(name), seen, memory, has_server)


def plain(text: str, *_: object, **__: object) -> str:
    return text


def test_what_was_seen_is_told_by_what_it_means() -> None:
    findings = Findings(5.0, (observed("wiki"), observed("shop", None, connections=5), observed("worker", has_server=False)), 2,
                        (("a\x1b[2J", "no reason"),))
    assert list(unused.lines(findings, plain)) == [
        "Nobody came to:", "  wiki     1.0 MiB  ports 8080->80/tcp",
        "In use:", "  shop           ?  5 open before, 0.0 MiB from 192.0.2.0, 192.0.2.1, 192.0.2.2 and 2 more",
        "No connection can wake, as they listen nowhere:", "  worker     1.0 MiB",
        "On-demand already, and not looked at: 2 of packages; see 'ondemand status'",
        "Not seen:", "  a\\x1b[2J: no reason"]


@pytest.mark.parametrize(("text", "seconds"), [("10min", 600.0), ("90", 90.0), ("1h 30min", 5400.0), ("1s", 1.0)])
def test_a_time_is_written_as_systemd_writes_it(text: str, seconds: float) -> None:
    need("systemd-analyze")
    assert unused.seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0", "-5s", "10ms", "31d", "infinity"])
def test_what_is_no_time_to_look_is_refused_with_an_example(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    need("systemd-analyze")
    assert main.main(["survey", f"--for={text}"]) == 1
    assert "such as 10min" in capsys.readouterr().err


@pytest.fixture
def surveyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unused, "candidates", lambda: Candidates((container(),), 0, ()))
    monkeypatch.setattr(unused, "watch", lambda *_: Findings(1.0, (observed("wiki"),), 0, ()))
    monkeypatch.setattr(unused, "seconds_of", lambda _: 1.0)


def put_builder(directory: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    builder = directory / unused.BUILDER
    builder.write_text(f"#!/bin/sh\n{script}\n")
    builder.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


@pytest.mark.usefixtures("surveyed")
def test_the_declaration_follows_where_the_builder_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    put_builder(tmp_path, 'echo "[container.$3]"', monkeypatch)
    assert main.main(["survey"]) == 0
    assert capsys.readouterr().out.endswith("\n\n[container.wiki]\n")


@pytest.mark.usefixtures("surveyed")
def test_a_declaration_that_can_not_be_made_is_an_error_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    put_builder(tmp_path, "echo 'error: it has no port' >&2; exit 1", monkeypatch)
    assert main.main(["survey"]) == 1
    assert capsys.readouterr().err.endswith("error: wiki: no declaration could be made: it has no port\n")


@pytest.mark.usefixtures("surveyed")
def test_without_the_builder_its_command_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert main.main(["survey"]) == 0
    assert "'ondemand-pkg import --container wiki'" in capsys.readouterr().err


def test_ctrl_c_shows_what_was_seen_until_then(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(traffic, "listen", interrupted)
    monkeypatch.setattr(engines, "sockets_of_engines", list)
    assert unused.watch(Candidates((), 3, ()), 1000).of_packages == 3


def test_one_that_was_started_again_meanwhile_is_not_judged(server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    one = container()._replace(process=server)
    monkeypatch.setattr(engines, "sockets_of_engines", lambda: ["/run/a.sock"])
    monkeypatch.setattr(engines, "containers", lambda _: [one._replace(life="later")])
    findings = unused.watch(Candidates((one,), 0, ()), 0.1)
    assert findings.not_seen == (("wiki", "it ended or was started again meanwhile"),) and not findings.observed
    monkeypatch.setattr(engines, "containers", lambda _: [one])
    with contextlib.closing(socket.create_connection((SERVED, 80), timeout=10)):
        assert unused.watch(Candidates((one,), 0, ()), 0.1).observed[0].traffic.open_before == 1
    assert unused.watch(Candidates((one,), 0, ()), 0.1).unused
