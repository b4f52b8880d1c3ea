"""What clients and servers may rely on of the relay: every byte comes over, in both directions, and so do an end and an abort."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
from carriers import arriving
from carriers import streams as helper
from carriers.ends import Listener
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loop import Loop

LIMIT = 10.0  # seconds


@pytest.fixture(scope="module")
def streams() -> ModuleType:
    return helper


class Between:
    """A relay, in a thread, between a listening socket of its own and a server of the test."""

    def __init__(self, streams: ModuleType, header: Callable[[object], bytes] | None = None) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(LIMIT)
        self.front = socket.create_server(("127.0.0.1", 0))
        self.listener = listener = Listener(streams._socket.socket(fileno=self.front.detach()), self.server.getsockname()[1])
        self.address = listener.socket.getsockname()
        self.loop = Loop()
        self.relay = streams.Streams(self.loop, [listener], header)
        self.relay.on_client = lambda client: None
        self.relay.on_doubt = lambda: None
        self.over = False
        self.thread = threading.Thread(target=self.work)

    def work(self) -> None:
        while not self.over:
            self.step(0.01)

    def step(self, timeout: float) -> None:
        due = self.relay.due()
        self.loop.turn(timeout if due is None else min(timeout, due))
        self.relay.turn()

    def lead(self) -> None:
        self.relay.lead_to((socket.AF_INET, "127.0.0.1"))

    def client(self) -> socket.socket:
        return socket.create_connection(self.address, LIMIT)

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Return both ends of a relayed connection."""
        client = self.client()
        server = self.server.accept()[0]
        server.settimeout(LIMIT)
        return client, server

    def close(self) -> None:
        self.over = True
        if self.thread.is_alive():
            self.thread.join()
        self.server.close()


@pytest.fixture
def between(streams: ModuleType) -> Iterator[Between]:
    found = Between(streams)
    found.relay.heed("accept")
    found.lead()
    found.thread.start()
    yield found
    found.close()


def read(connection: socket.socket) -> bytes:
    """Read to the end."""
    found = b""
    while block := connection.recv(65536):
        found += block
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(pieces=st.lists(st.tuples(st.booleans(), st.integers(1, 300_000)), max_size=6))
def test_every_byte_comes_over_in_both_directions(between: Between, pieces: list[tuple[bool, int]]) -> None:
    client, server = between.pair()
    sent = {client: b"", server: b""}

    def send(end: socket.socket) -> None:
        for number, (from_client, size) in enumerate(pieces):
            if from_client == (end is client):
                data = bytes([number]) * size
                sent[end] += data
                end.sendall(data)
        end.shutdown(socket.SHUT_WR)

    threads = [threading.Thread(target=send, args=(end,)) for end in (client, server)]
    received: dict[socket.socket, bytes] = {}
    threads += [threading.Thread(target=lambda end=end: received.update({end: read(end)})) for end in (client, server)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert received[server] == sent[client] and received[client] == sent[server]
    client.close()
    server.close()


def test_a_client_that_has_said_all_is_still_answered(between: Between) -> None:
    client, server = between.pair()
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    assert read(server) == b"question"
    server.sendall(b"answer")
    server.close()
    assert read(client) == b"answer"


def test_a_server_may_speak_first(between: Between) -> None:
    client, server = between.pair()
    server.sendall(b"220 hello")
    assert client.recv(100) == b"220 hello"


def test_a_greeting_that_comes_with_the_connection_is_not_lost(streams: ModuleType) -> None:
    early = Between(streams)
    early.relay.heed("accept")
    early.lead()
    client = early.client()
    while not early.relay.arriving.attempts:
        early.step(0)
    server = early.server.accept()[0]
    server.sendall(b"220 hello")
    server.close()
    early.thread.start()
    assert read(client) == b"220 hello"
    early.close()


@pytest.mark.parametrize("by_client", [True, False])
def test_an_abort_comes_over_as_an_abort(between: Between, by_client: bool) -> None:
    client, server = between.pair()
    client.sendall(b"x")
    assert server.recv(1) == b"x"
    one, other = (client, server) if by_client else (server, client)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()
    with pytest.raises(ConnectionResetError):
        other.recv(1)


def test_who_does_not_read_holds_the_sender_back_and_not_the_others(between: Between) -> None:
    client, server = between.pair()
    server.settimeout(0.5)
    with pytest.raises(TimeoutError):
        server.sendall(bytes(64 * 1024**2))
    held = sum(len(end.pending or b"") for end in between.relay.ends.values())
    assert held <= 256 * 1024
    other_client, other_server = between.pair()
    other_client.sendall(b"y")
    assert other_server.recv(1) == b"y"


def test_clients_are_held_until_the_container_listens(streams: ModuleType) -> None:
    held = Between(streams)
    held.relay.heed("accept")
    clients = [held.client() for _ in range(20)]
    for client in clients:
        client.sendall(b"z")
    while held.relay.waiting() < 20:
        held.step(0.01)
    held.lead()
    held.thread.start()
    for _ in clients:
        server = held.server.accept()[0]
        assert server.recv(1) == b"z"
        server.sendall(b"!")
    assert [client.recv(1) for client in clients] == [b"!"] * 20
    held.close()


def test_a_client_is_led_on_though_the_server_refuses_for_a_moment(streams: ModuleType) -> None:
    moment = Between(streams)
    address = moment.server.getsockname()
    moment.server.close()
    moment.relay.heed("accept")
    moment.lead()
    client = moment.client()
    while not moment.relay.arriving.refused:
        moment.step(0.01)
    moment.server = socket.create_server(address)
    moment.thread.start()
    moment.server.accept()[0].sendall(b"late")
    assert client.recv(10) == b"late"
    moment.close()


def test_a_client_of_a_server_that_goes_on_refusing_is_turned_away(
    streams: ModuleType, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arriving, "CONNECT_PATIENCE", 0.05)
    nobody = Between(streams)
    nobody.server.close()
    nobody.relay.heed("accept")
    nobody.lead()
    client = nobody.client()
    nobody.thread.start()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    nobody.close()


def test_connections_beyond_the_limit_of_files_wait_and_are_served_then(streams: ModuleType) -> None:
    few = Between(streams)
    few.relay.arriving.files = 8
    few.relay.heed("accept")
    few.lead()
    few.thread.start()
    clients = [few.client() for _ in range(20)]
    few.server.settimeout(LIMIT)
    for client in clients:
        client.sendall(b"a")
    served = 0
    while served < 20:
        server = few.server.accept()[0]
        assert server.recv(1) == b"a"
        assert len(few.relay.ends) <= 10
        server.close()
        clients[served].close()
        served += 1
    few.close()


def test_a_relay_without_a_connection_accepts_again_after_the_host_had_no_file_for_it(streams: ModuleType) -> None:
    few = Between(streams)
    few.relay.heed("accept")
    few.lead()
    few.relay.arriving.pause(few.listener)  # as where accept(2) says ENFILE
    client = few.client()
    few.thread.start()
    client.sendall(b"a")
    assert few.server.accept()[0].recv(1) == b"a"
    few.close()


def test_the_header_comes_before_the_clients_bytes(streams: ModuleType) -> None:
    headed = Between(streams, lambda _: b"HEADER ")
    headed.relay.heed("accept")
    headed.lead()
    headed.thread.start()
    client, server = headed.pair()
    client.sendall(b"hello")
    client.shutdown(socket.SHUT_WR)
    assert read(server) == b"HEADER hello"
    headed.close()


@pytest.mark.parametrize("pipes", [None, 0, 1])
def test_a_long_stream_comes_over_whole_however_slowly_it_is_read(between: Between, pipes: int | None) -> None:
    if pipes is not None:
        between.relay.pipes = [None] * pipes
    client, server = between.pair()
    data = random.Random(1).randbytes(10_000_000)
    senders = [threading.Thread(target=lambda end=end: (end.sendall(data), end.shutdown(socket.SHUT_WR)))
               for end in (client, server)]
    for sender in senders:
        sender.start()
    for end in (client, server):
        found = bytearray()
        while block := end.recv(1_000_000):
            found += block
        assert found == data
    for sender in senders:
        sender.join()


def files() -> set[tuple[str, str]]:
    """Return the open files of this process, less those of this look."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.add((name, os.readlink(f"/proc/self/fd/{name}")))
    return {(name, file) for name, file in found if not file.startswith("/proc/")}


@pytest.mark.parametrize("by_client", [True, False])
def test_a_long_stream_that_is_broken_off_leaves_no_file_open(streams: ModuleType, by_client: bool) -> None:
    broken = Between(streams)
    broken.relay.heed("accept")
    broken.lead()
    broken.thread.start()
    before = files()  # some of other tests may be closed meanwhile
    for _ in range(3):
        client, server = broken.pair()
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.sendall(bytes(64 * 1024**2))
        one, other = (client, server) if by_client else (server, client)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.close()
        with contextlib.suppress(ConnectionError):
            while other.recv(65536):
                pass
        other.close()
    broken.close()
    kept = sum(pipe is not None for pipe in broken.relay.pipes)
    assert len(broken.relay.pipes) == streams.PIPES
    assert len(files() - before) == 2 * kept


def test_a_client_waits_for_an_answer_from_its_request_to_the_first_byte_of_the_workload(between: Between) -> None:
    client, server = between.pair()
    assert not between.relay.asking()
    client.sendall(b"how long?")
    assert server.recv(100) == b"how long?"
    assert between.relay.asking()
    server.sendall(b"so long")
    assert client.recv(100) == b"so long"
    assert not between.relay.asking()
    client.sendall(b"x" * 3_000_000)
    found = 0
    while found < 3_000_000:
        found += len(server.recv(65536))
    assert between.relay.asking()
    server.close()  # who has closed answers no more
    assert client.recv(100) == b""
    assert not between.relay.asking()
    client.close()
