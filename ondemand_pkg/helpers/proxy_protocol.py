"""The header that tells a server who its client is (the PROXY protocol, versions 1 and 2, of haproxy's proxy-protocol.txt).

Knows both forms; hides from the relay how a socket's two addresses are found.
"""

import _socket
import struct

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
MAPPED = "::ffff:"  # an IPv4 client of a socket that takes both
PROXIED, LOCAL = 0x21, 0x20  # version 2, and its two commands
TCP = {_socket.AF_INET: 0x11, _socket.AF_INET6: 0x21}


def v1(client: "Socket") -> "bytes":
    """Return the header of version 1 for an accepted socket."""
    found = _addresses(client)
    if found is None:
        return b"PROXY UNKNOWN\r\n"
    family, (source, source_port), (target, target_port) = found
    return "PROXY TCP{} {} {} {} {}\r\n".format(4 if family == _socket.AF_INET else 6, source, target, source_port,
                                               target_port).encode("ascii")


def v2(client: "Socket") -> "bytes":
    """Return the header of version 2 for an accepted socket."""
    found = _addresses(client)
    if found is None:
        return SIGNATURE + struct.pack(">BBH", LOCAL, 0, 0)
    family, (source, source_port), (target, target_port) = found
    addresses = (_socket.inet_pton(family, source) + _socket.inet_pton(family, target)
                 + struct.pack(">HH", source_port, target_port))
    return SIGNATURE + struct.pack(">BBH", PROXIED, TCP[family], len(addresses)) + addresses


def _addresses(client: "Socket") -> "Optional[Tuple[int, End, End]]":
    """Return family, source and target of a TCP connection, addresses with their ports; None of any other."""
    if client.family not in TCP:
        return None
    try:
        ends = [(end[0].partition("%")[0], end[1]) for end in (client.getpeername(), client.getsockname())]
    except OSError:  # the client has gone again
        return None
    if all(host.startswith(MAPPED) for host, _ in ends):
        return _socket.AF_INET, (ends[0][0][len(MAPPED):], ends[0][1]), (ends[1][0][len(MAPPED):], ends[1][1])
    return client.family, ends[0], ends[1]


TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Optional, Tuple

    End = Tuple[str, int]
