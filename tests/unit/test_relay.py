"""Whom the relay lets in, as the declaration says it."""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from typing import Any, NoReturn

import outcome
import pytest
import relay
import relay_life
from carriers import clients
from hypothesis import given
from hypothesis import strategies as st

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))



class Peer:
    def __init__(self, address: str, family: int) -> None:
        self.family, self.address = family, address

    def getpeername(self) -> tuple[str, int]:
        return self.address, 4711


def client(address: str, family: int = socket.AF_INET6) -> Any:
    return Peer(address, family)


def networks(*texts: str) -> list[tuple[int, int]]:
    return [clients.parse_network(text) for text in texts]


@given(ADDRESSES, ADDRESSES, st.integers(0, 32))
def test_an_address_is_let_in_just_where_its_network_is_allowed(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, other: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int,
) -> None:
    network = ipaddress.ip_network((other, length), strict=False)
    seen = [address, *([ipaddress.ip_address(f"::ffff:{address}")] if address.version == 4 else [address.ipv4_mapped or address])]
    assert clients.is_allowed(client(str(address)), networks(str(network))) == any(one in network for one in seen)


def test_an_ipv4_client_of_a_socket_that_takes_both_is_known() -> None:
    assert clients.is_allowed(client("::ffff:10.1.2.3"), networks("10.0.0.0/8"))
    assert clients.is_allowed(client("10.1.2.3", socket.AF_INET), networks("10.0.0.0/8"))
    assert not clients.is_allowed(client("::ffff:11.1.2.3"), networks("10.0.0.0/8", "::1"))


def test_a_link_local_client_is_known_without_its_interface() -> None:
    assert clients.is_allowed(client("fe80::1%eth0"), networks("fe80::/10"))


def test_unix_sockets_are_guarded_by_their_permissions() -> None:
    assert clients.is_allowed(client("", socket.AF_UNIX), networks("10.0.0.0/8"))


@pytest.mark.parametrize(("failures", "ended", "calls", "failed"), [
    (3, 10.5, 1, True),  # the life that was asked for
    (3, 9.5, 1, False),  # one before: the next one is still to be asked for
    (0, 10.5, 1, False),  # it was stopped
    (0, 9.5, 4, True)])  # none leaves behind how it went
def test_a_start_that_failed_without_a_word_is_noticed(
    monkeypatch: pytest.MonkeyPatch, failures: int, ended: float, calls: int, failed: bool,
) -> None:
    life = relay_life.Life([], None, False, Asked, lambda client, since: ("", since))  # type: ignore[arg-type] # a model
    monkeypatch.setattr(relay_life, "last_end", lambda: (failures, ended))
    monkeypatch.setattr(relay_life, "begin_of_process", lambda: 10.0)
    life.begin()
    for _ in range(calls):
        assert life.state == "calling"
        life.hear([])
    assert life.state == ("refusing" if failed else "calling")


class Asked:
    """A connection to the door."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def tell(self, packet: str) -> None:
        self.said.append(packet)

    def close(self) -> None: ...


@pytest.mark.parametrize(("since", "told"), [(3.0, 3.0), (5.005, 5.0), (5.5, 5.5)])
def test_the_client_that_woke_what_slept_paused_does_not_seem_to_have_come_after_that(
    monkeypatch: pytest.MonkeyPatch, since: float, told: float,
) -> None:
    asked = Asked()
    life = relay_life.Life([], None, False, lambda: asked, lambda client, otherwise: ("who", since))  # type: ignore[return-value, arg-type]
    monkeypatch.setattr(relay_life, "now", lambda: 5.0)
    life.begin()
    life.hear(["version", "2"])
    life.hear(["paused"])
    life.miss()
    life.hear(["ready", "10.0.0.2"])
    life.meet(None)  # type: ignore[arg-type]
    assert asked.said == ["version 2", "wake", f"client who {told:.4f}"]


def test_where_nothing_listens_the_process_ends_soon_and_its_clients_stay_in_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> NoReturn:
        raise ConnectionRefusedError

    monkeypatch.setattr(relay_life, "UNITS_PATIENCE", 0.0)
    life = relay_life.Life([], None, False, refused, lambda client, since: ("", since))
    life.begin()
    life.pass_time()
    assert life.state == "over"


@pytest.mark.parametrize("argv", [
    [], ["--idle"], ["--door"], ["--idle", "x", "80"], ["--idle-mode", "never", "80"], ["--allow", "x", "80"],
    ["--proxy-protocol", "v3", "80"], ["--unknown", "1", "80"], ["http"]])
def test_a_call_that_makes_no_sense_shows_how_to_call_it(
    argv: list[str], capsys: pytest.CaptureFixture[str],
) -> None:
    assert relay.main(argv) == 2
    assert capsys.readouterr().err.startswith("Usage: relay ")


def test_the_kernel_tells_since_when_a_client_waits() -> None:
    listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    begin = outcome.now()
    with socket.create_connection(("127.0.0.1", listener.getsockname()[1])) as client:
        end = outcome.now()
        client.send(b"a")
        time.sleep(0.2)
        client.send(b"b")
        accepted, _ = listener.accept()
        with accepted, listener:
            who, since = clients.who_and_since(accepted, 0.0)
    assert who == "127.0.0.1" and begin - 0.02 <= since <= end + 0.02


def test_a_client_of_a_unix_socket_is_known_by_its_user() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert clients.who_and_since(one, 4.2) == (f"uid:{os.getuid()}", 4.2)
