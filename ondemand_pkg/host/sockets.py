"""How many connections to a listening address are open.

Knows the kernel's tables of sockets (proc_net(5)); hides their form.  Asks no process, so that it costs the services nothing.
"""

from __future__ import annotations

import re
import socket
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

_ESTABLISHED, _CLOSE_WAIT, _LISTEN = "01", "08", "0A"  # include/net/tcp_states.h
_UNIX_CONNECTED = ("02", "03")  # SS_CONNECTING: not accepted yet; SS_CONNECTED
_LISTENS = 0x10000  # __SO_ACCEPTCON
_ESCAPES = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def connections(addresses: Iterable[str], net: Path = Path("/proc/net")) -> dict[str, int]:
    """Return the count of open connections to each address, "[::]:80" or a path, those not accepted yet included."""
    wanted = {address: _parse(address) for address in addresses}
    ports = {key[2] for key in wanted.values() if isinstance(key, tuple)}
    found: Counter[tuple[int, bytes, int] | str] = Counter()
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in _lines(net / name):
            words = line.split()
            host, _, port = words[1].partition(":")
            if int(port, 16) not in ports or words[3] == _LISTEN:
                continue
            if words[9] != "0" or words[3] in (_ESTABLISHED, _CLOSE_WAIT):  # a socket, or one that waits to be accepted
                address = _network_order(bytes.fromhex(host))
                found[family, address, int(port, 16)] += 1
                found[family, bytes(len(address)), int(port, 16)] += bool(any(address))
    for line in _lines(net / "unix"):
        words = line.split(None, 7)
        if len(words) == 8 and words[5] in _UNIX_CONNECTED and not int(words[3], 16) & _LISTENS:
            found[words[7]] += 1
    return {address: found[key] for address, key in wanted.items()}


def _parse(address: str) -> tuple[int, bytes, int] | str:
    """Return an address as systemd shows it as (family, bytes, port), or the path of a Unix socket."""
    if address.startswith(("/", "@")):
        data = re.sub(rb"\\([0-7]{3}|.)", lambda match: bytes([int(match[1], 8)]) if match[1].isdigit() else _ESCAPES.get(
            match[1], match[1]), address.encode("utf-8", "surrogateescape"))
        return data.decode("utf-8", "replace")
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    return family, socket.inet_pton(family, host.strip("[]").partition("%")[0] or "0.0.0.0"), int(port)


def _network_order(data: bytes) -> bytes:
    step = -1 if sys.byteorder == "little" else 1
    return b"".join(data[index:index + 4][::step] for index in range(0, len(data), 4))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[1:]
    except OSError:
        return []  # a kernel without IPv6
