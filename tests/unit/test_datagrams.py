"""What clients and servers may rely on of datagrams: each client has a session, answers come from where it asked, bounds hold."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import own_sockets
import pytest
import udpcheck
from carriers import clients
from carriers import datagrams as helper
from carriers.ends import Listener
from loop import Loop

LIMIT = 5.0  # seconds


class Between:
    """The carrier between a socket of its own, which takes IPv4 and IPv6, and a server of the test."""

    def __init__(self, timeout: float = 60.0, allowed: Any = None) -> None:
        self.server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.server.bind(("127.0.0.1", 0))
        self.server.settimeout(0.2)
        front = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        front.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        front.bind(("::", 0))
        self.port = front.getsockname()[1]
        inner: Any = own_sockets.listening_socket(front.detach())
        self.loop = Loop()
        self.seen: list[str] = []
        self.carrier = helper.Datagrams(self.loop, [Listener(inner, self.server.getsockname()[1])], timeout, allowed)
        self.carrier.on_client = lambda client: self.seen.append(helper.who_by(clients.who_and_since)(client, 0.0)[0])
        self.carrier.on_wanted = lambda: self.seen.append("wanted")
        self.carrier.on_doubt = lambda: self.seen.append("doubt")
        self.carrier.on_answer = lambda: self.seen.append("answer")
        self.clients: list[socket.socket] = []

    def lead(self) -> None:
        self.carrier.lead_to((socket.AF_INET, "127.0.0.1"))

    def client(self, *said: bytes, host: str = "127.0.0.1") -> socket.socket:
        """Return a new client that has said something."""
        found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        found.settimeout(0.2)
        for data in said:
            found.sendto(data, (host, self.port))
        self.clients.append(found)
        return found

    def turn(self, times: int = 3) -> None:
        for _ in range(times):
            self.loop.turn(0.005)
            self.carrier.turn()

    def heard(self) -> list[bytes]:
        """Return what has come to the server by now."""
        found = []
        self.server.setblocking(False)
        while True:
            try:
                found.append(self.server.recv(65536))
            except BlockingIOError:
                self.server.settimeout(0.2)
                return found

    def close(self) -> None:
        for one in [*self.clients, self.server]:
            one.close()
        self.carrier.end()


@pytest.fixture
def between() -> Iterator[Between]:
    found = Between()
    found.carrier.heed("accept")
    yield found
    found.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1"])
def test_an_answer_leaves_from_the_address_that_was_asked(between: Between, host: str) -> None:
    between.lead()
    client = between.client(b"question", host=host)
    between.turn()
    data, inside = between.server.recvfrom(100)
    between.server.sendto(b"re: " + data, inside)
    between.turn()
    answer, sender = client.recvfrom(100)
    assert (answer, sender[:2]) == (b"re: question", (host, between.port))


def test_each_client_has_a_port_of_its_own_towards_the_server_and_keeps_it(between: Between) -> None:
    between.lead()
    one, other = between.client(b"1"), between.client(b"2")
    between.turn()
    one.sendto(b"1", ("127.0.0.1", between.port))
    other.sendto(b"2", ("127.0.0.1", between.port))
    between.turn()
    ports: dict[bytes, set[int]] = {b"1": set(), b"2": set()}
    for _ in range(4):
        data, inside = between.server.recvfrom(100)
        ports[data].add(inside[1])
    assert [len(found) for found in ports.values()] == [1, 1] and ports[b"1"] != ports[b"2"]
    assert between.carrier.connections() == 2


def test_datagrams_of_a_start_are_held_in_order_and_replayed(between: Between) -> None:
    between.carrier.heed("hold")
    between.client(*(b"%d" % number for number in range(100)))
    between.turn()
    assert between.heard() == [] and (between.carrier.waiting(), between.carrier.connections()) == (1, 0)
    assert between.carrier.lost() == 100 - helper.MOST_HELD
    between.lead()
    between.client(b"late")
    between.turn(70)
    found = between.heard()
    assert [data for data in found if data != b"late"] == [b"%d" % number for number in range(helper.MOST_HELD)]
    assert b"late" in found and between.carrier.waiting() == 0 and between.carrier.size == 0


def test_no_more_is_held_of_all_clients_than_the_bound(between: Between) -> None:
    between.carrier.heed("hold")
    for _ in range(30):
        between.client(bytes(60000))
        between.turn(1)
    assert between.carrier.size <= helper.MOST_BYTES and between.carrier.waiting() == helper.MOST_BYTES // 60000
    assert between.carrier.lost() == 30 - helper.MOST_BYTES // 60000


def test_after_a_failed_start_what_waits_is_dropped_and_counted(between: Between) -> None:
    between.carrier.heed("hold")
    between.client(b"a", b"b")
    between.turn()
    between.carrier.refuse()
    between.carrier.reset_held()
    between.carrier.heed("accept")
    between.client(b"c")
    between.turn()
    assert (between.carrier.waiting(), between.carrier.size, between.carrier.lost()) == (0, 0, 3)


def test_what_is_ignored_stays_in_the_kernel_and_is_noticed_where_that_is_asked(between: Between) -> None:
    between.carrier.heed("ignore")
    between.client(b"a")
    between.turn()
    assert between.seen == []
    between.carrier.heed("watch")
    between.turn(1)
    assert between.seen == ["wanted"]
    between.lead()
    between.carrier.heed("accept")
    between.turn()
    assert between.heard() == [b"a"] and between.seen == ["wanted", "127.0.0.1"]


def test_a_session_ends_where_its_client_is_silent_whatever_the_server_says() -> None:
    between = Between(timeout=0.3)
    between.carrier.heed("accept")
    between.lead()
    client = between.client(b"a")
    between.turn()
    _, inside = between.server.recvfrom(10)
    end = time.monotonic() + LIMIT
    while between.carrier.connections():
        assert time.monotonic() < end
        between.server.sendto(b"chat", inside)
        between.turn(1)
    assert client.recv(10) == b"chat"
    between.close()


def test_the_client_that_was_silent_longest_makes_room(between: Between, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "MOST_SESSIONS", 2)
    between.lead()
    first = between.client(b"1")
    between.turn()
    second = between.client(b"2")
    between.turn()
    first.sendto(b"1", ("127.0.0.1", between.port))
    between.turn()
    between.client(b"3")
    between.turn()
    known = {session.peer[1] for session in between.carrier.sessions.values()}
    assert len(known) == 2 and first.getsockname()[1] in known and second.getsockname()[1] not in known


def test_only_what_clients_send_counts_as_traffic(between: Between) -> None:
    between.lead()
    between.carrier.await_answer()
    between.client(b"a")
    between.turn()
    assert between.carrier.has_moved()
    _, inside = between.server.recvfrom(10)
    between.server.sendto(b"chat", inside)
    between.turn()
    assert between.seen == ["127.0.0.1", "answer"] and not between.carrier.has_moved()


def test_a_server_that_is_not_there_ends_the_session_and_is_doubted(between: Between) -> None:
    between.lead()
    between.server.close()
    between.client(b"a")
    between.turn()
    assert "doubt" in between.seen and between.carrier.connections() == 0


def test_who_is_not_allowed_is_neither_heard_nor_remembered() -> None:
    between = Between(allowed=lambda address: address == "::1")
    between.carrier.heed("watch")
    between.lead()
    between.client(b"a")
    between.client(b"b", host="::1")
    between.turn()
    assert between.heard() == [b"b"] and between.seen == ["::1"] and len(between.carrier.sessions) == 1
    between.close()


def test_datagrams_are_never_led_back_to_where_they_came_from(between: Between) -> None:
    for listener in between.carrier.listeners.values():
        listener.port = between.port
    between.lead()
    between.client(b"a")
    between.turn()
    assert between.carrier.connections() == 0 and between.carrier.lost() == 1


def test_the_end_of_a_workload_still_brings_its_last_answers(between: Between) -> None:
    between.lead()
    client = between.client(b"a")
    between.turn()
    _, inside = between.server.recvfrom(10)
    between.server.sendto(b"bye", inside)
    between.carrier.lead_to(None)
    between.carrier.end()
    assert client.recv(10) == b"bye" and between.carrier.connections() == 0


@pytest.mark.parametrize(("answers", "expect", "is_ready"), [([b"\xff\x00rest"], "ff00", True), ([b"\xff\x01"], "ff00", False),
                                                             ([], "", False), ([b"x"], "", True)])
def test_a_server_is_ready_that_answers_as_declared(answers: list[bytes], expect: str, is_ready: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(LIMIT)
        check = udpcheck.UdpCheck(["127.0.0.2", "127.0.0.1"], server.getsockname()[1], {"send": "3f", "expect": expect})
        assert not check.look()
        data, asker = server.recvfrom(10)
        assert data == b"?"
        for answer in answers:
            server.sendto(answer, asker)
        assert check.look() is is_ready
        assert check.address == ("127.0.0.1" if is_ready else "127.0.0.2")
        check.close()


def test_the_question_is_asked_again_until_somebody_listens() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    check = udpcheck.UdpCheck(["127.0.0.1"], port, {"send": "3f", "expect": ""})
    end = time.monotonic() + 0.1
    while time.monotonic() < end:
        assert not check.look()
    assert check.last == "Connection refused"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", port))
        server.setblocking(False)
        end = time.monotonic() + LIMIT
        while not check.look():
            assert time.monotonic() < end
            try:
                server.sendto(b"yes", server.recvfrom(10)[1])
            except BlockingIOError:
                continue


# The relay's modules, with a server and many clients one after the other: prints how many were answered and have a session, and
# how many bytes of memory the process has.
MANY = """
import resource, socket, sys
import own_sockets, relay
from carriers import datagrams
from carriers.ends import Listener
from loop import Loop

count = int(sys.argv[1])
_, files = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
server, front = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
server.bind(("127.0.0.1", 0))
front.bind(("127.0.0.1", 0))
there = front.getsockname()
loop = Loop()
listener = Listener(own_sockets.listening_socket(front.detach()), server.getsockname()[1])
carrier = datagrams.Datagrams(loop, [listener], 300.0)
carrier.on_client = lambda client: None
carrier.heed("accept")
carrier.lead_to((socket.AF_INET, "127.0.0.1"))
answered = 0
for number in range(count):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((f"127.0.1.{number // 2000}", 20000 + number % 2000))
        client.sendto(bytes(100), there)
        loop.turn(5)
        server.sendto(*server.recvfrom(200))
        loop.turn(5)
        answered += client.recv(200) == bytes(100)
pages = int(open("/proc/self/statm").read().split()[1])
print(answered, carrier.connections(), pages * resource.getpagesize(), files)
"""


def test_twenty_thousand_clients_have_sessions_within_100_mib() -> None:
    program = [sys.executable, "-c", MANY, str(helper.MOST_SESSIONS)]
    said = subprocess.run(program, env={**os.environ, "PYTHONPATH": str(Path(helper.__file__).parents[1])}, check=True,
                          capture_output=True, text=True).stdout
    answered, sessions, size, files = map(int, said.split())
    assert answered == 20000 and sessions >= min(20000, files - 20) and size < 100 * 1024 * 1024, said
