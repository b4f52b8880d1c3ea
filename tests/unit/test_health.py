"""What users may rely on of services whose health is asked while they sleep."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import relay
from carriers import arriving, silent, streams
from carriers.health import DATA, NOTHING, PART, PROBE, Follower, Health
from proxy_protocol import SIGNATURE
from test_arriving import is_reset
from test_wake_on import PORTS, WEB, Attending, declared

from ondemand_pkg.contents.helper_files import modules
from ondemand_pkg.contents.units import units
from ondemand_pkg.errors import DeclarationError

HEALTH = 'health = { path = "/healthz", body = "asleep" }\n'
LINE = b"GET /healthz HTTP/1.1\r\n"
REQUEST = LINE + b"Host: a\r\n\r\n"
V1 = b"PROXY TCP4 10.0.0.1 10.0.0.2 4000 80\r\n"
V2 = SIGNATURE + b"\x21\x11\x00\x0c" + bytes(12)
LOCAL = SIGNATURE + b"\x20\x00\x00\x00"


# The bytes


@pytest.mark.parametrize(("data", "kind"), [
    (b"", NOTHING), (V1, NOTHING), (V2, NOTHING), (LOCAL, NOTHING),
    (LINE, PROBE), (REQUEST, PROBE), (b"HEAD /healthz HTTP/1.0\r\n", PROBE), (V1 + LINE, PROBE), (V2 + REQUEST, PROBE),
    (LOCAL + b"GET /healthz HTTP/1.0\r\n", PROBE),
    (b"G", PART), (LINE[:-1], PART), (b"PROX", PART), (V1[:-1], PART), (SIGNATURE[:5], PART), (V2[:-1], PART), (V2 + b"HE", PART),
    (b"GET / HTTP/1.1\r\n", DATA), (b"GET /healthz?x HTTP/1.1\r\n", DATA), (b"GET /healthzz HTTP/1.1\r\n", DATA),
    (b"GET  /healthz HTTP/1.1\r\n", DATA), (b"get /healthz HTTP/1.1\r\n", DATA), (b"GET /healthz HTTP/1.1\n", DATA),
    (b"GET /healthz\r\n", DATA), (b"GET /healthz HTTP/2.0\r\n", DATA), (b"GET http://a/healthz HTTP/1.1\r\n", DATA),
    (b"POST /healthz HTTP/1.1\r\n", DATA), (b"OPTIONS /healthz HTTP/1.1\r\n", DATA), (b"\r\n" + LINE, DATA),
    (b"\x16\x03\x01\x02\x00\x01", DATA), (b"SSH-2.0-x", DATA), (b"PRI * HTTP/2.0\r\n", DATA),
    (V1 + V1 + LINE, DATA), (b"PROXY " + b"x" * 101, DATA), (SIGNATURE + b"\x11\x11\x00\x0c", DATA),
    (SIGNATURE + b"\x21\x11\xff\xff", DATA)])
def test_only_a_plain_request_for_the_path_is_a_probe(data: bytes, kind: str) -> None:
    assert Health("/healthz").kind(data) == kind
    assert (silent.NOTHING, silent.PART, silent.PROBE, silent.DATA, arriving.DATA) == (NOTHING, PART, PROBE, DATA, DATA)


@pytest.mark.parametrize("data", [REQUEST, V1 + REQUEST, V2 + REQUEST, LOCAL + REQUEST])
def test_what_comes_byte_by_byte_is_the_same(data: bytes) -> None:
    health = Health("/healthz")
    kinds = [health.kind(data[:length]) for length in range(len(data) + 1)]
    assert kinds == sorted(kinds, key=[NOTHING, PART, PROBE].index) or data != REQUEST
    assert set(kinds) == {NOTHING, PART, PROBE} and kinds[-1] == PROBE
    follower = Follower(health)
    assert all(follower.is_probe(data[index:index + 1]) for index in range(len(data)))


@pytest.mark.parametrize(("packets", "found"), [
    ([REQUEST, REQUEST, REQUEST], [True] * 3), ([REQUEST * 3], [True]), ([V1, REQUEST, REQUEST], [True] * 3),
    ([REQUEST, V1], [True, False]), ([REQUEST, b"GET / HTTP/1.1\r\n"], [True, False]), ([REQUEST + b"x"], [False]),
    ([LINE + b"x" * 20000], [False]), ([LINE, b"Content-Length: 3\r\n\r\n", b"abc"], [True, True, False])])
def test_probes_on_a_connection_that_is_kept_are_followed_one_by_one(packets: list[bytes], found: list[bool]) -> None:
    follower = Follower(Health("/healthz"))
    assert [follower.is_probe(packet) for packet in packets] == found


@pytest.mark.parametrize(("status", "body", "head"), [
    (200, "asleep", b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 6\r\n"),
    (503, "", b"HTTP/1.1 503 \r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\n"),
    (200, "\u00e4", b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n"),
    (204, "", b"HTTP/1.1 204 \r\n")])
def test_the_answer_is_whole_and_the_last_one_of_its_connection(status: int, body: str, head: bytes) -> None:
    health = Health("/healthz", status, body)
    head += b"Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    assert health.answer(REQUEST) == health.answer(V2 + REQUEST) == head + body.encode()
    assert health.answer(b"HEAD /healthz HTTP/1.1\r\n") == health.answer(V1 + b"HEAD /healthz HTTP/1.1\r\n") == head


# The clients


@pytest.fixture(params=[60.0, None], ids=["data", "connection"])
def probed(request: pytest.FixtureRequest) -> Iterator[Attending]:
    ports = Attending(request.param, health=Health("/healthz", 200, "asleep"))
    yield ports
    ports.close()


def answer(client: socket.socket) -> bytes:
    found = b""
    while data := client.recv(4096):
        found += data
    return found


@pytest.mark.parametrize("request_of", [REQUEST, V1 + REQUEST, V2 + REQUEST, b"HEAD /healthz HTTP/1.0\r\n\r\n"])
def test_a_probe_is_answered_and_wakes_nothing(probed: Attending, request_of: bytes) -> None:
    with probed.client() as client:
        client.sendall(request_of)
        probed.until(lambda: probed.tally.noted)
        assert probed.tally.take() == {"probed": (1, "127.0.0.1")}
        found = answer(client)
        assert found.startswith(b"HTTP/1.1 200 OK\r\n") and found.endswith(b"\r\n\r\n" if b"HEAD" in request_of else b"asleep")
        assert probed.relay.silent() == 1, "the client is awaited until it ends its side"
    probed.until(lambda: not probed.relay.silent())
    assert not probed.came and probed.listeners[0].clients == probed.listeners[0].silent == 0


def test_a_client_that_goes_on_to_send_still_has_its_answer(probed: Attending) -> None:
    with probed.client() as client:
        client.sendall(LINE)
        probed.until(lambda: probed.tally.noted)
        client.sendall(b"X: " + b"y" * 30000 + b"\r\n\r\n")
        probed.work()
        assert answer(client).endswith(b"asleep")
    probed.until(lambda: not probed.relay.silent())


def test_a_half_closed_probe_is_answered(probed: Attending) -> None:
    with probed.client() as client:
        client.sendall(REQUEST)
        client.shutdown(socket.SHUT_WR)
        probed.until(lambda: probed.tally.noted and not probed.relay.silent())
        assert answer(client).endswith(b"asleep")
    assert not probed.came


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"GET /healthz?a"])
def test_everything_else_wakes_at_once(probed: Attending, data: bytes) -> None:
    with probed.client() as client:
        client.sendall(data)
        probed.until(lambda: probed.came)
        assert not probed.tally.noted and probed.relay.waiting() == 1


@pytest.mark.parametrize("how", ["slow", "half"])
def test_a_request_line_that_does_not_come_to_its_end_wakes(probed: Attending, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr(silent, "LINE_PATIENCE", 0.1 if how == "slow" else 60.0)
    with probed.client() as client:
        client.sendall(LINE[:9])
        probed.until(probed.relay.silent) if how == "slow" else client.shutdown(socket.SHUT_WR)
        probed.until(lambda: probed.came)


def test_a_connection_without_data_wakes_in_a_moment_unless_only_data_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silent, "LINE_PATIENCE", 0.1)
    for timeout, kinds in ((None, {}), (0.1, {"closed": (1, "127.0.0.1")})):
        ports = Attending(timeout, health=Health("/healthz"))
        with ports.client():
            ports.until(lambda ports=ports: ports.came or ports.tally.noted)  # type: ignore[misc]
            assert bool(ports.came) == (timeout is None) and ports.tally.take() == kinds
        ports.close()


def test_who_ends_its_side_without_a_byte_wakes_where_a_connection_does_unless_it_has_gone() -> None:
    ports = Attending(None, health=Health("/healthz"))
    with ports.client() as client:
        client.shutdown(socket.SHUT_WR)
        ports.until(lambda: ports.came)
    client = ports.client()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    client.close()
    ports.until(lambda: ports.tally.noted)
    assert len(ports.came) == 1 and ports.tally.take() == {"closed": (1, "127.0.0.1")}
    ports.close()


def test_a_proxy_header_alone_is_no_data() -> None:
    ports = Attending(60.0, health=Health("/healthz"))
    with ports.client() as client:
        client.sendall(LOCAL)
        ports.until(ports.relay.silent)
    ports.until(lambda: ports.tally.noted)
    assert not ports.came and ports.tally.take() == {"closed": (1, "127.0.0.1")}
    ports.close()


def test_probes_of_unix_sockets_are_answered_too(tmp_path: Path) -> None:
    front = socket.socket(socket.AF_UNIX)
    front.bind(str(tmp_path / "socket"))
    front.listen()
    ports = Attending(None, front, Health("/healthz", 200, "asleep"))
    with ports.client() as client:
        client.sendall(REQUEST)
        ports.until(lambda: ports.tally.noted)
        assert answer(client).endswith(b"asleep") and not ports.came
    ports.close()


def test_many_that_wait_take_no_place_of_others_and_none_that_a_connection_wakes_for_is_closed(
        probed: Attending, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silent, "MOST", 3)
    clients = [probed.client() for _ in range(6)]
    probed.until(lambda: probed.listeners[0].clients == 3 or len(probed.relay.arriving.clients) == 3)
    assert probed.relay.silent() == 3 and len(probed.came) == (3 if probed.relay.silence_counts else 0)
    assert [is_reset(client) for client in clients] == [not probed.relay.silence_counts] * 3 + [False] * 3
    for client in clients:
        client.close()


# Awake


def awake(ports: Attending) -> tuple[socket.socket, socket.socket]:
    ports.lead()
    client = ports.client()
    ports.until(ports.relay.connections)
    return client, ports.servers[0].accept()[0]


def test_awake_probes_are_forwarded_and_are_no_traffic_until_something_else_comes(probed: Attending) -> None:
    client, server = awake(probed)
    probed.relay.has_moved()
    for _ in range(3):
        client.sendall(REQUEST)
        probed.work()
        assert server.recv(4096) == REQUEST
        server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        probed.work()
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
        assert not probed.relay.has_moved() and probed.relay.keeping() == 0 and not probed.tally.noted
    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    probed.until(probed.relay.has_moved)
    assert probed.relay.keeping() == 1
    client.close()
    server.close()


def test_awake_a_client_that_says_nothing_counts_where_a_connection_wakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "SILENCE", 0.05)
    for timeout in (None, 60.0):
        ports = Attending(timeout, health=Health("/healthz"))
        client, server = awake(ports)
        server.sendall(b"220 hello")
        ports.work(0.1)
        assert ports.relay.has_moved() == (timeout is None) and ports.relay.keeping() == (1 if timeout is None else 0)
        client.close()
        server.close()
        ports.close()


def test_a_client_that_has_its_answer_is_not_led_to_a_workload_that_wakes(probed: Attending) -> None:
    with probed.client() as client:
        client.sendall(REQUEST)
        probed.until(lambda: probed.tally.noted)
        probed.lead()
        probed.work()
        assert probed.relay.connections() == 0 and answer(client).endswith(b"asleep")
    probed.until(lambda: not probed.relay.silent())


def test_a_probe_that_the_workload_never_took_is_answered_when_it_parts(
        probed: Attending, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "CONNECTING", 0)  # the workload takes nobody
    probed.lead()
    with probed.client() as client:
        client.sendall(REQUEST)
        probed.until(lambda: probed.relay.arriving.clients)
        assert probed.relay.waiting() == 0
        probed.relay.lead_to(None)
        assert probed.tally.noted and answer(client).endswith(b"asleep")


# The package


def test_nothing_but_the_relay_starts_the_container_and_the_call_says_what_is_answered(tmp_path: Path) -> None:
    container = declared(tmp_path, WEB + PORTS + 'health = { path = "/a%20$x", status = 503, body = \'50 % "off" \\ $HOME\' }\n')
    proxy = units(container)["ondemand-web.service"]
    assert "Wants=ondemand-web-container.service" not in proxy and "--data-timeout" not in proxy
    assert (r'/relay --door /run/ondemand.door --health "/a%%20$$x" --health-status 503 '
            r'--health-body "50 %% \"off\" \\ $$HOME" 80' + "\n") in proxy
    assert "--with-proxy" in units(container)["ondemand-web-container.service"]
    assert {"carriers/silent.py", "carriers/health.py", "unwoken.py"} <= modules(container).keys()
    both = declared(tmp_path, WEB + PORTS + HEALTH + 'wake_on = "data"\n')
    assert ' --data-timeout 10 --health "/healthz" --health-status 200 --health-body "asleep" 80\n' in units(
        both)["ondemand-web.service"]


def test_without_the_key_nothing_is_as_it_was_not(tmp_path: Path) -> None:
    container = declared(tmp_path, WEB + PORTS)
    assert "health" not in units(container)["ondemand-web.service"]
    assert not {"carriers/silent.py", "carriers/health.py", "unwoken.py"} & modules(container).keys()
    assert "unwoken.py" in modules(declared(tmp_path, WEB + PORTS + 'allow = ["10.0.0.0/8"]\n'))


def test_the_call_is_read() -> None:
    words = ["--health", "/x", "--health-status", "503", "--health-body", "a b"]
    assert relay.arguments([*words, "80"])[-3] == ("/x", 503, "a b") and relay.arguments(["80"])[-3] is None
    assert relay.main(["--health", "/x", "--health-status", "y", "80"]) == 2


def test_the_declaration_is_told_as_it_was_written(tmp_path: Path) -> None:
    from ondemand_pkg.contents.declaration_file import as_toml

    container = declared(tmp_path, WEB + PORTS + HEALTH)
    assert container.health is not None and (container.health.path, container.health.status) == ("/healthz", 200)
    assert declared(tmp_path, as_toml(container)) == container


@pytest.mark.parametrize(("text", "message"), [
    (PORTS + "health = true\n", "site.toml:5: container.web.health: found true; expected { path = "),
    (PORTS + "health = {}\n", "site.toml:5: container.web.health: .*path is missing"),
    (PORTS + 'health = { path = "x" }\n', 'site.toml:5: container.web.health.path: found "x"; allowed: the path of a URL'),
    (PORTS + 'health = { path = "/x?y" }\n', 'container.web.health.path: found "/x.y"; allowed: the path of a URL without a'),
    (PORTS + 'health = { path = "/x", status = 99 }\n', "container.web.health.status: found 99; allowed:"),
    (PORTS + 'health = { path = "/x", status = 204, body = "y" }\n', "an answer with status 204 has no body; leave body out"),
    (PORTS + 'health = { path = "/x", body = "a\\nb" }\n', "container.web.health.body: found"),
    (PORTS + 'health = { path = "/x", code = 1 }\n', "container.web.health.code: .*unknown key; allowed: path, status, body"),
    ('ports = ["53:53/udp"]\nready = "started"\n' + HEALTH, "health: it answers requests of HTTP, and all of its ports are "
     "of UDP"),
    (PORTS + HEALTH + 'proxy = "systemd-socket-proxyd"\n', "proxy: \"systemd-socket-proxyd\" does not support 'health'"),
    ('companion_of = ["db"]\n' + HEALTH, "health: nothing connects to a companion"),
    ('task = true\nbefore = ["db"]\n' + HEALTH, "health: a task runs to its end")])
def test_each_mistake_is_an_error_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        declared(tmp_path, WEB + text)


def test_status_shows_each_kind_of_what_woke_nothing(tmp_path: Path) -> None:
    import unwoken

    from ondemand_host import services, systemd, table

    assert {identifier: field for identifier, field, *_ in unwoken.KINDS.values()} == systemd.UNWOKEN
    lines = "\n".join(json.dumps({"_SYSTEMD_UNIT": "ondemand-web.service", "ONDEMAND_CLIENT": f"10.0.0.{index}", field: count,
                                  "__REALTIME_TIMESTAMP": "5000000"})
                      for index, (field, count) in enumerate([("ONDEMAND_PROBES", "700"), ("ONDEMAND_REFUSED", "1"),
                                                              ("ONDEMAND_PROBES", "2")]))
    found = systemd.parse_unwoken(lines)["ondemand-web.service"]
    assert found == {"ONDEMAND_PROBES": systemd.Unwoken(702, "10.0.0.0", 5.0),
                     "ONDEMAND_REFUSED": systemd.Unwoken(1, "10.0.0.1", 5.0)}
    service: Any = services.Service("web", "asleep", ("[::]:80",), 0, unwoken=found)
    told = list(table.lines(services.Survey((service,)), 0.0, 200, True, lambda text, colour="", bold=False: text))
    assert ("web: woke nothing in 30 days: 702 requests for the health answered, the last 1970-01-01T00:00:05Z from 10.0.0.0; "
            "1 client refused by 'allow', the last 1970-01-01T00:00:05Z from 10.0.0.1") in told
    shown = json.loads(table.as_json(services.Survey((service,))))["services"][0]
    assert shown["probes_answered"] == {"count": 702, "client": "10.0.0.0", "time": "1970-01-01T00:00:05Z"}
    assert shown["refused"]["count"] == 1 and shown["closed_without_data"] is None
