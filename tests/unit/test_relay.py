"""Whom the relay lets in, as the declaration says it."""

from __future__ import annotations

import ipaddress
import os
import socket
from types import ModuleType

import pytest
from helpers import load
from hypothesis import given
from hypothesis import strategies as st

RELAY = load("relay")
ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@pytest.fixture
def relay() -> ModuleType:
    return RELAY


class Client:
    def __init__(self, address: str, family: int = socket.AF_INET6) -> None:
        self.family, self.address = family, address

    def getpeername(self) -> tuple[str, int]:
        return self.address, 4711


def networks(*texts: str) -> list[tuple[int, int]]:
    return [RELAY.parse_network(text) for text in texts]


@given(ADDRESSES, ADDRESSES, st.integers(0, 32))
def test_an_address_is_let_in_just_where_its_network_is_allowed(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, other: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int,
) -> None:
    network = ipaddress.ip_network((other, length), strict=False)
    seen = [address, *([ipaddress.ip_address(f"::ffff:{address}")] if address.version == 4 else [address.ipv4_mapped or address])]
    assert RELAY.is_allowed(Client(str(address)), networks(str(network))) == any(one in network for one in seen)


def test_an_ipv4_client_of_a_socket_that_takes_both_is_known(relay: ModuleType) -> None:
    assert relay.is_allowed(Client("::ffff:10.1.2.3"), networks("10.0.0.0/8"))
    assert relay.is_allowed(Client("10.1.2.3", socket.AF_INET), networks("10.0.0.0/8"))
    assert not relay.is_allowed(Client("::ffff:11.1.2.3"), networks("10.0.0.0/8", "::1"))


def test_a_link_local_client_is_known_without_its_interface(relay: ModuleType) -> None:
    assert relay.is_allowed(Client("fe80::1%eth0"), networks("fe80::/10"))


def test_unix_sockets_are_guarded_by_their_permissions(relay: ModuleType) -> None:
    assert relay.is_allowed(Client("", socket.AF_UNIX), networks("10.0.0.0/8"))


@pytest.mark.parametrize(("failures", "ended", "over", "now", "failed"), [
    (1, 10.0, True, 10.1, True),  # after this process was made
    (1, 9.95, True, 10.1, True),  # a moment before: systemd made the other process first
    (1, 9.8, True, 10.1, False),  # the life before, parted from this one by the shortest pause
    (1, 9.8, False, 10.1, True),  # the life before, of which something is left: none begins for this process
    (1, 9.8, True, 15.1, True),  # the life before, but none has begun since
    (0, 10.0, False, 15.1, False)])  # it was stopped
def test_a_start_that_failed_before_anybody_was_told_is_noticed(
    monkeypatch: pytest.MonkeyPatch, failures: int, ended: float, over: bool, now: float, failed: bool,
) -> None:
    service = RELAY.Service.__new__(RELAY.Service)
    service.failures = 0
    monkeypatch.setattr(RELAY, "last_end", lambda: (failures, ended))
    monkeypatch.setattr(RELAY, "begin_of_process", lambda: 10.0)
    monkeypatch.setattr(RELAY, "is_over", lambda: over)
    monkeypatch.setattr(RELAY.time, "clock_gettime", lambda _: now)
    assert service.has_failed_already() == failed and service.failures == (failures if failed else 0)


@pytest.mark.parametrize("argv", [[], ["--idle"], ["--idle", "x", "80"], ["--idle-mode", "never", "80"], ["--allow", "x", "80"],
                                  ["--proxy-protocol", "v3", "80"], ["--unknown", "1", "80"], ["http"]])
def test_a_call_that_makes_no_sense_shows_how_to_call_it(
    relay: ModuleType, argv: list[str], capsys: pytest.CaptureFixture[str],
) -> None:
    assert relay.main(argv) == 2
    assert capsys.readouterr().err.startswith("Usage: relay ")


def test_the_kernel_tells_since_when_a_client_waits() -> None:
    listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    begin = RELAY.time.clock_gettime(RELAY.CLOCK_BOOTTIME)
    with socket.create_connection(("127.0.0.1", listener.getsockname()[1])) as client:
        end = RELAY.time.clock_gettime(RELAY.CLOCK_BOOTTIME)
        client.send(b"a")
        RELAY.time.sleep(0.2)
        client.send(b"b")
        accepted, _ = listener.accept()
        with accepted, listener:
            who, since = RELAY.who_and_since(accepted, 0.0)
    assert who == "127.0.0.1" and begin - 0.02 <= since <= end + 0.02


def test_a_client_of_a_unix_socket_is_known_by_its_user() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert RELAY.who_and_since(one, 4.2) == (f"uid:{os.getuid()}", 4.2)
