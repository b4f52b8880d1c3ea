"""How many connections to a listening address are open.

Knows the kernel's tables of sockets (proc_net(5)); hides their form.  Asks no process, so that it costs the services nothing.
"""

import os
import re
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

NAMESPACE = "/run/netns/ondemand"  # the network of containers that reach each other
_ESTABLISHED, _CLOSE_WAIT, _LISTEN = "01", "08", "0A"  # include/net/tcp_states.h
_UNCONNECTED = "07"  # TCP_CLOSE: what takes the datagrams of all
UDP = "/udp"  # behind an address of datagrams
_UNIX_CONNECTED = ("02", "03")  # SS_CONNECTING: not accepted yet; SS_CONNECTED
_LISTENS = 0x10000  # __SO_ACCEPTCON
_ESCAPES = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def is_of_containers(address: "str") -> "bool":
    """Return whether an address is of the range in which containers reach each other (ondemand_pkg/layout.py)."""
    return address.startswith(("198.18.", "198.19."))


def connections_of_containers(addresses: "Iterable[str]") -> "Dict[str, int]":
    """Return the count of open connections to addresses of that range; 0 where this user may not look into their network."""
    found = dict.fromkeys(addresses, 0)
    if not found or os.getuid() != 0:
        return found
    done = subprocess.Popen(["nsenter", "--net=" + NAMESPACE, "cat", "/proc/net/tcp"], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    table = done.communicate()[0].decode("ascii", "replace").splitlines()[1:]
    return connections(found, table=lambda name: table if name == "tcp" else [])


def connections(addresses: "Iterable[str]", net: "Path" = Path("/proc/net"),
                table: "Optional[Callable[[str], List[str]]]" = None) -> "Dict[str, int]":
    """Return the count of open connections to each address, "[::]:80" or a path, those not accepted yet included.

    An address of datagrams, "[::]:53/udp", has none.  ``table`` returns the lines of one of the kernel's tables, by its name in
    ``net``.
    """
    lines = table or (lambda name: _lines(net / name))
    asked = list(addresses)
    wanted = {address: _parse(address) for address in asked if address.startswith("/") or not address.endswith("/udp")}
    ports = {key[2] for key in wanted.values() if isinstance(key, tuple)}
    found: "Counter[Union[Tuple[int, bytes, int], str]]" = Counter()
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in lines(name):
            words = line.split()
            host, _, port = words[1].partition(":")
            if int(port, 16) not in ports or words[3] == _LISTEN:
                continue
            if words[9] != "0" or words[3] in (_ESTABLISHED, _CLOSE_WAIT):  # a socket, or one that waits to be accepted
                address = _network_order(bytes.fromhex(host))
                found[family, address, int(port, 16)] += 1
                found[family, bytes(len(address)), int(port, 16)] += bool(any(address))
    for line in lines("unix"):
        words = line.split(None, 7)
        if len(words) == 8 and words[5] in _UNIX_CONNECTED and not int(words[3], 16) & _LISTENS:
            found[words[7]] += 1
    return {address: found[wanted[address]] if address in wanted else 0 for address in asked}


def drops(addresses: "Iterable[str]", net: "Path" = Path("/proc/net")) -> "int":
    """Return how many datagrams the kernel has dropped at some addresses, "[::]:53/udp", since they are listened on."""
    return sum(int(words[-1]) for found in _unconnected(addresses, net).values() for words in found)


def shared(addresses: "Iterable[str]", net: "Path" = Path("/proc/net")) -> "List[str]":
    """Return those addresses of datagrams, "[::]:53/udp", that more than one socket has."""
    found = _unconnected(addresses, net)
    anywhere = {"[::]": "0.0.0.0"}  # systemd's socket of IPv6 takes IPv4 too; whether another one does, the kernel does not tell
    twins = {}
    for address in found:
        host, _, port = address.rpartition(":")
        twins[address] = "{}:{}".format(anywhere[host], port) if host in anywhere else address
    others = _unconnected([twin for twin in twins.values() if twin not in found], net)
    return sorted(address for address, sockets in found.items()
                  if len(sockets) > 1 or (twins[address] != address and others.get(twins[address])))


def _unconnected(addresses: "Iterable[str]", net: "Path") -> "Dict[str, List[List[str]]]":
    """Return the words of the kernel's table of each socket that takes datagrams of everybody at some addresses."""
    found: "Dict[str, List[List[str]]]" = {address: [] for address in addresses
                                           if address.endswith(UDP) and not address.startswith("/")}
    wanted = {_parse(address[:-len(UDP)]): address for address in found}
    for name, family in (("udp", socket.AF_INET), ("udp6", socket.AF_INET6)) if wanted else ():
        for line in _lines(net / name):
            words = line.split()
            host, _, port = words[1].partition(":")
            address = wanted.get((family, _network_order(bytes.fromhex(host)), int(port, 16)))
            if address is not None and words[3] == _UNCONNECTED:
                found[address].append(words)
    return found


def _parse(address: "str") -> "Union[Tuple[int, bytes, int], str]":
    """Return an address as systemd shows it as (family, bytes, port), or the path of a Unix socket."""
    if address.startswith(("/", "@")):
        data = re.sub(rb"\\([0-7]{3}|.)", lambda match: bytes([int(match[1], 8)]) if match[1].isdigit() else _ESCAPES.get(
            match[1], match[1]), address.encode("utf-8", "surrogateescape"))
        return data.decode("utf-8", "replace")
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    return family, socket.inet_pton(family, host.strip("[]").partition("%")[0] or "0.0.0.0"), int(port)


def _network_order(data: "bytes") -> "bytes":
    step = -1 if sys.byteorder == "little" else 1
    return b"".join(data[index:index + 4][::step] for index in range(0, len(data), 4))


def _lines(path: "Path") -> "List[str]":
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[1:]
    except OSError:
        return []  # a kernel without IPv6


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, Iterable, List, Optional, Tuple, Union
