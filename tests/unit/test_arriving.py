"""What clients may rely on while they wait: no other port's trouble is theirs, and who has gone takes no place."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from carriers import arriving
from carriers.ends import Listener
from carriers.streams import Streams
from loop import Loop
from own_sockets import listening_socket

LIMIT = 10.0  # seconds
FILES = 4096  # that a test may open: an ordinary user's process begins with 1024
RST = struct.pack("ii", 1, 0)


class Ports:
    """A relay with a listening socket for each server of the test; it works when the test lets it."""

    def __init__(self, *servers: socket.socket, fronts: list[socket.socket] | None = None) -> None:
        self.servers = servers
        self.fronts = fronts or [socket.create_server(("127.0.0.1", 0), backlog=4096) for _ in servers]
        self.loop = Loop()
        self.listeners = [Listener(listening(front), server.getsockname()[1])
                          for front, server in zip(self.fronts, servers, strict=True)]
        self.relay = Streams(self.loop, self.listeners)
        self.relay.on_client = lambda client: None
        self.relay.on_doubt = lambda: None
        self.relay.heed("accept")

    def lead(self) -> None:
        self.relay.lead_to((socket.AF_INET, "127.0.0.1"))

    def client(self, port: int = 0) -> socket.socket:
        client = socket.socket(self.fronts[port].family)
        client.settimeout(LIMIT)
        client.connect(self.fronts[port].getsockname())
        return client

    def until(self, condition: Callable[[], object], limit: float = LIMIT) -> None:
        """Work until something is so."""
        deadline = time.monotonic() + limit
        while not condition():
            assert time.monotonic() < deadline
            due = self.relay.due()
            self.loop.turn(0.01 if due is None else min(0.01, due))
            self.relay.turn()

    def close(self) -> None:
        self.relay.reset_held()
        self.relay.end()
        for one in (*self.fronts, *self.servers):
            one.close()


def listening(front: socket.socket) -> Any:
    return listening_socket(os.dup(front.fileno()))


def is_reset(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


@pytest.fixture(autouse=True, scope="module")
def files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(FILES, hard)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def jammed() -> Iterator[Ports]:
    """The first server never accepts, the second one does."""
    ports = Ports(socket.create_server(("127.0.0.1", 0), backlog=0), socket.create_server(("127.0.0.1", 0)))
    yield ports
    ports.close()


@pytest.fixture
def asleep() -> Iterator[Ports]:
    ports = Ports(socket.create_server(("127.0.0.1", 0)))
    yield ports
    ports.close()


def test_a_port_whose_server_never_accepts_takes_no_other_with_it(jammed: Ports) -> None:
    jammed.lead()
    clients = [jammed.client(0) for _ in range(300)]
    jammed.until(lambda: jammed.relay.waiting() > 250)
    begin = time.monotonic()
    other = jammed.client(1)
    jammed.until(lambda: jammed.relay.connections() > 300 - jammed.relay.waiting())
    assert time.monotonic() - begin < 1
    server = jammed.servers[1].accept()[0]
    other.sendall(b"x")
    jammed.until(lambda: has(server))
    assert server.recv(1) == b"x"
    server.close()
    for client in (*clients, other):
        client.close()


def has(connection: socket.socket) -> bool:
    with contextlib.suppress(BlockingIOError):
        connection.setblocking(False)
        return bool(connection.recv(1, socket.MSG_PEEK))
    return False


def test_attempts_end_and_others_have_their_turn(jammed: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "ATTEMPT", 0.1)
    monkeypatch.setattr(arriving, "CONNECTING", 1)
    jammed.lead()
    clients = [jammed.client(0) for _ in range(8)]
    tried: set[int] = set()

    def every_client_is_tried() -> bool:
        tried.update(id(end.peer) for end in jammed.relay.arriving.attempts.values())
        return len(tried) >= 6

    jammed.until(every_client_is_tried)
    assert jammed.listeners[0].attempts <= 1
    for client in clients:
        client.close()


def test_a_client_that_is_not_answered_in_time_is_reset(jammed: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "ATTEMPT", 0.05)
    monkeypatch.setattr(arriving, "ANSWER_PATIENCE", 0.3)
    jammed.lead()
    clients = [jammed.client(0) for _ in range(5)]
    jammed.until(lambda: not jammed.relay.waiting() and jammed.relay.connections())
    assert sum(map(is_reset, clients)) == 5 - jammed.relay.connections()


def test_who_waits_for_a_jammed_port_is_served_once_it_accepts(jammed: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "ATTEMPT", 0.05)
    jammed.lead()
    clients = [jammed.client(0) for _ in range(5)]
    jammed.until(lambda: jammed.relay.connections())
    jammed.servers[0].setblocking(False)
    served: list[socket.socket] = []

    def all_served() -> bool:
        with contextlib.suppress(BlockingIOError):
            served.append(jammed.servers[0].accept()[0])
        return len(served) == 5 and jammed.relay.connections() == 5

    jammed.until(all_served)
    for one in (*clients, *served):
        one.close()


def test_a_port_with_as_many_clients_as_it_may_have_leaves_the_others_their_files() -> None:
    ports = Ports(*(socket.create_server(("127.0.0.1", 0)) for _ in range(2)))
    ports.relay.arriving.files = 16  # for eight clients
    clients = [ports.client(0) for _ in range(20)]
    ports.until(lambda: ports.listeners[0].is_full)
    assert ports.listeners[0].clients <= 5
    clients.append(ports.client(1))
    ports.until(lambda: ports.listeners[1].clients == 1)
    clients[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
    clients.pop(0).close()
    before = ports.listeners[0].clients
    ports.until(lambda: ports.relay.waiting() == before + 1 and ports.listeners[0].is_full)  # another one has its place
    for client in clients:
        client.close()
    ports.close()


@pytest.mark.parametrize("payload", [b"", b"a question"])
def test_a_held_client_that_breaks_off_takes_no_place(asleep: Ports, payload: bytes) -> None:
    client = asleep.client()
    client.sendall(payload)
    asleep.until(lambda: asleep.relay.waiting() == 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
    client.close()
    asleep.until(lambda: asleep.relay.waiting() == 0)
    assert asleep.listeners[0].clients == 0 and len(asleep.loop.callbacks) == 1


def test_a_held_client_that_was_closed_takes_no_place_once_its_kernel_has_forgotten_it(
    asleep: Ports, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arriving, "GONE_LOOK", 1)
    client = asleep.client()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, 1)  # seconds, in which its kernel remembers it
    asleep.until(lambda: asleep.relay.waiting() == 1)
    client.close()
    asleep.until(lambda: asleep.relay.waiting() == 0)


def test_what_a_client_has_sent_before_it_closed_reaches_the_server(asleep: Ports) -> None:
    client = asleep.client()
    client.sendall(b"fire and forget")
    client.close()
    asleep.until(lambda: asleep.relay.waiting() == 1 and all(one.last for one in asleep.relay.arriving.clients.values()))
    asleep.lead()
    asleep.until(lambda: asleep.relay.connections())
    server = asleep.servers[0].accept()[0]
    server.settimeout(LIMIT)
    assert server.recv(100) == b"fire and forget" and server.recv(1) == b""
    server.close()


@pytest.mark.parametrize("payload", [b"", b"a question"])
def test_a_client_that_has_ended_its_side_only_is_answered(
    asleep: Ports, monkeypatch: pytest.MonkeyPatch, payload: bytes,
) -> None:
    monkeypatch.setattr(arriving, "GONE_LOOK", 1)
    client = asleep.client()
    client.sendall(payload)
    client.shutdown(socket.SHUT_WR)
    begin = time.monotonic()
    asleep.until(lambda: time.monotonic() - begin > 2.5)  # it was asked whether it is there
    asleep.lead()
    asleep.until(lambda: asleep.relay.connections())
    server = asleep.servers[0].accept()[0]
    server.sendall(b"answer")
    server.close()
    asleep.until(lambda: has(client))
    assert client.recv(100) == b"answer"
    client.close()


@pytest.mark.parametrize("payload", [b"", b"a question"])
def test_a_client_of_a_unix_socket_that_has_gone_takes_no_place_unless_it_left_bytes(tmp_path: Path, payload: bytes) -> None:
    front = socket.socket(socket.AF_UNIX)
    front.bind(str(tmp_path / "front"))
    front.listen()
    ports = Ports(socket.create_server(("127.0.0.1", 0)), fronts=[front])
    half, client = ports.client(), ports.client()
    half.shutdown(socket.SHUT_WR)
    client.sendall(payload)
    ports.until(lambda: ports.relay.waiting() == 2)
    client.close()
    ports.until(lambda: ports.relay.waiting() == (2 if payload else 1) and all(
        one.last for one in ports.relay.arriving.clients.values()))
    half.close()
    ports.close()


def test_a_client_that_goes_while_the_server_is_asked_leaves_nothing(jammed: Ports) -> None:
    jammed.lead()
    clients = [jammed.client(0) for _ in range(5)]
    jammed.until(lambda: jammed.relay.connections() and jammed.relay.arriving.attempts)
    for client in clients:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
        client.close()
    jammed.until(lambda: not jammed.relay.waiting() and not jammed.relay.connections())
    assert not jammed.relay.arriving.attempts and jammed.listeners[0].attempts == jammed.listeners[0].clients == 0
    assert len(jammed.loop.callbacks) == 2


def test_an_event_of_a_file_that_was_closed_is_not_that_of_the_next_one_with_its_number() -> None:
    loop = Loop()
    pipes = [os.pipe() for _ in range(3)]
    (first, _), (second, _), (silent, _) = pipes
    heard: list[int] = []

    def replace(descriptor: int, _: int) -> None:
        """Close the other one, of which an event is there too, and let another file have its number."""
        other = second if descriptor == first else first
        loop.forget(other)
        os.dup2(silent, other)
        loop.watch(other, lambda descriptor, _: heard.append(descriptor))

    for reader, writer in pipes[:2]:
        loop.watch(reader, replace)
        os.write(writer, b"x")
    loop.turn(LIMIT)
    assert heard == []
    for pipe in pipes:
        for end in pipe:
            os.close(end)


def test_a_client_that_is_watched_for_is_left_in_the_kernel_until_it_is_accepted(asleep: Ports) -> None:
    wanted: list[int] = []
    asleep.relay.on_wanted = lambda: wanted.append(1)
    asleep.relay.heed("watch")
    client = asleep.client()
    asleep.until(lambda: wanted)
    assert asleep.relay.waiting() == 0
    asleep.relay.heed("accept")
    asleep.until(lambda: asleep.relay.waiting() == 1)
    client.close()


def test_clients_that_the_workload_has_not_taken_are_held_for_its_next_life(jammed: Ports) -> None:
    jammed.lead()
    clients = [jammed.client(0) for _ in range(5)]
    jammed.until(lambda: jammed.relay.connections() and jammed.relay.arriving.attempts)
    before = jammed.relay.waiting()
    jammed.relay.lead_to(None)
    assert not jammed.relay.arriving.attempts and jammed.relay.waiting() == before
    jammed.relay.reset_held()
    assert sum(map(is_reset, clients)) == before and not jammed.relay.waiting()
    for client in clients:
        client.close()
