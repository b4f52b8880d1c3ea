"""Who a client is, and whether it may connect.

Knows what the kernel tells of an accepted socket; hides struct tcp_info and the two forms of an IPv4 address.
"""

import _socket
import struct

from control import SO_PEERCRED_SIZE
from outcome import now

# Where tcpi_last_data_sent and tcpi_last_data_recv lie in struct tcp_info, include/uapi/linux/tcp.h.
LAST_DATA_SENT, LAST_DATA_RECEIVED = 44, 52


def who_and_since(client: "Socket", otherwise: "float", where: "int" = LAST_DATA_SENT) -> "Tuple[str, float]":
    """Return who a client that was just accepted is, and when its connection was made (CLOCK_BOOTTIME, seconds).

    A client of TCP is known by its address.  The kernel counts from the connection as long as nothing was sent, in its own
    ticks of 1 to 10 ms.  One of a Unix socket is known by its user, and no time of it: ``otherwise`` stands for that.
    """
    try:
        if client.family == _socket.AF_UNIX:
            credentials = client.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, SO_PEERCRED_SIZE)
            return "uid:{}".format(struct.unpack("3i", credentials)[1]), otherwise
        address = plain(str(client.getpeername()[0]))
        known = client.getsockopt(_socket.IPPROTO_TCP, _socket.TCP_INFO, where + 4)
        (ago,) = struct.unpack_from("I", known, where)
    except OSError:  # it has gone again
        return "somebody", otherwise
    return address, now() - ago / 1000


def who_and_since_data(client: "Socket", otherwise: "float") -> "Tuple[str, float]":
    """Return the same, but when the client sent its data."""
    return who_and_since(client, otherwise, LAST_DATA_RECEIVED)


def plain(address: "str") -> "str":
    """Return an address as people write it; an IPv4 one is not in its IPv6 form."""
    return address[len("::ffff:"):] if address.startswith("::ffff:") else address


def is_allowed(client: "Socket", networks: "Sequence[Tuple[int, int]]") -> "bool":
    """Return whether a client may connect: over TCP from one of some networks, or over a Unix socket."""
    if client.family == _socket.AF_UNIX:
        return True
    try:
        address = number(client.getpeername()[0].partition("%")[0])
    except OSError:  # it has gone again
        return False
    return is_inside(address, networks)


def is_inside(address: "int", networks: "Sequence[Tuple[int, int]]") -> "bool":
    """Return whether an address is in one of some networks."""
    return any(address >> shift == network >> shift for network, shift in networks)


def parse_network(text: "str") -> "Tuple[int, int]":
    """Return a network as (number, count of the bits that do not matter)."""
    address, _, length = text.partition("/")
    longest = 128 if ":" in address else 32
    return number(address), longest - int(length or longest)


def number(address: "str") -> "int":
    """Return an address as a number; an IPv4 one as an IPv6 socket sees it."""
    if ":" in address:
        return int.from_bytes(_socket.inet_pton(_socket.AF_INET6, address), "big")
    return 0xFFFF << 32 | int.from_bytes(_socket.inet_pton(_socket.AF_INET, address), "big")


TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Sequence, Tuple
