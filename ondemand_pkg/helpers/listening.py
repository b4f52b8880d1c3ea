"""Where a container listens instead, for one that does not where it was declared to.

Knows the tables of sockets in a process's network namespace (proc_net(5)); hides their form, and says in words what an
administrator would do about them.
"""

import _socket
import os
import sys

STATE_LISTEN = "0A"
OWN_NAMESPACE = "/proc/self/ns/net"
LONGEST_TABLE = 2**20  # bytes that are read of a table: a container decides how long it is
MOST_PORTS = 5  # that are named


def instead(process: "Optional[int]", ports: "Sequence[int]") -> "str":
    """Return a sentence on where a container listens that does not listen on some ports; empty where that can't be known."""
    if process is None or _is_of_host(process):
        return ""
    found = list(_listening(process))
    near = [(host, port) for host, port in found if port in ports and _is_loopback(host)]
    if near:
        return "it listens on {}, which only the container itself can reach: have it listen on 0.0.0.0; ".format(_show(*near[0]))
    others = sorted({port for host, port in found if port not in ports and not _is_loopback(host)})
    if others:
        named = ", ".join(map(str, others[:MOST_PORTS])) + (", ..." if len(others) > MOST_PORTS else "")
        return "it listens on {}: correct its port in 'ports'; ".format(named)
    return "it does not listen on any port so far; "


def _is_of_host(process: "int") -> "bool":
    """Return whether it has the host's own network, where sockets are everybody's."""
    try:
        return os.readlink("/proc/{}/ns/net".format(process)) == os.readlink(OWN_NAMESPACE)
    except OSError:
        return True  # it has ended


def _listening(process: "int") -> "Iterator[Tuple[str, int]]":
    for name in ("tcp", "tcp6"):
        try:
            with open("/proc/{}/net/{}".format(process, name), "rb") as stream:
                lines = stream.read(LONGEST_TABLE).decode("ascii").split("\n")[1:-1]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if len(words) > 3 and words[3] == STATE_LISTEN:
                yield _address(words[1])


def _address(text: "str") -> "Tuple[str, int]":
    """Return an address from its form in the tables: words of 32 bits in the machine's order, and the port."""
    host, _, port = text.partition(":")
    data = b"".join(int(host[at:at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(host), 8))
    family = _socket.AF_INET if len(data) == 4 else _socket.AF_INET6
    return _socket.inet_ntop(family, data), int(port, 16)


def _is_loopback(host: "str") -> "bool":
    return host == "::1" or host.startswith(("127.", "::ffff:127."))


def _show(host: "str", port: "int") -> "str":
    return "[{}]:{}".format(host, port) if ":" in host else "{}:{}".format(host, port)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Optional, Sequence, Tuple
