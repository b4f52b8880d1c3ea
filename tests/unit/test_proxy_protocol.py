"""What a server that expects the PROXY protocol is told of its client (proxy-protocol.txt of haproxy, sections 2.1 and 2.2)."""

from __future__ import annotations

import socket
from types import ModuleType

import proxy_protocol
import pytest


@pytest.fixture(scope="module")
def protocol() -> ModuleType:
    return proxy_protocol


class Accepted:
    """An accepted socket."""

    def __init__(self, family: int, peer: object, own: object) -> None:
        self.family, self.peer, self.own = family, peer, own

    def getpeername(self) -> object:
        if self.peer is None:
            raise OSError(107, "Transport endpoint is not connected")
        return self.peer

    def getsockname(self) -> object:
        return self.own


FOUR = Accepted(socket.AF_INET, ("192.0.2.2", 5000), ("198.51.100.1", 80))
MAPPED = Accepted(socket.AF_INET6, ("::ffff:192.0.2.2", 5000, 0, 0), ("::ffff:198.51.100.1", 80, 0, 0))
SIX = Accepted(socket.AF_INET6, ("2001:db8::1%eth0", 5000, 0, 2), ("2001:db8::2", 80, 0, 0))
GONE = Accepted(socket.AF_INET, None, ("198.51.100.1", 80))
UNIX = Accepted(socket.AF_UNIX, "", "/run/x.sock")
PREFIX = b"\r\n\r\n\0\r\nQUIT\n"


@pytest.mark.parametrize(("client", "header"), [
    (FOUR, b"PROXY TCP4 192.0.2.2 198.51.100.1 5000 80\r\n"), (MAPPED, b"PROXY TCP4 192.0.2.2 198.51.100.1 5000 80\r\n"),
    (SIX, b"PROXY TCP6 2001:db8::1 2001:db8::2 5000 80\r\n"), (UNIX, b"PROXY UNKNOWN\r\n"), (GONE, b"PROXY UNKNOWN\r\n")])
def test_version_1_names_both_ends(protocol: ModuleType, client: Accepted, header: bytes) -> None:
    assert protocol.v1(client) == header


@pytest.mark.parametrize(("client", "rest"), [
    (FOUR, "21 11 000c c0000202 c6336401 1388 0050"), (MAPPED, "21 11 000c c0000202 c6336401 1388 0050"),
    (SIX, "21 21 0024 20010db8000000000000000000000001 20010db8000000000000000000000002 1388 0050"),
    (UNIX, "20 00 0000"), (GONE, "20 00 0000")])
def test_version_2_names_both_ends(protocol: ModuleType, client: Accepted, rest: str) -> None:
    assert protocol.v2(client) == PREFIX + bytes.fromhex(rest)
