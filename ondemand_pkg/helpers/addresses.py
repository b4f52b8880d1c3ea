"""addresses - show why a socket unit does not listen.

Usage: addresses UNIT.socket

Prints a line for each address of the unit that is in use elsewhere, and by which program.  Exit status 0: systemd listens
on every address for this unit; 1: nothing listens on some address; 3: some address is in use elsewhere.

Knows what the kernel shows of listening sockets (proc_net(5)) and what systemd shows of its socket units; hides
both from the unit (ExecStopPost=, which runs when it can't listen) and from the maintainer scripts.
"""

import os
import re
import socket
import subprocess
import sys

from engines.chosen import publisher
from process import say, usage

LISTENING, UNCONNECTED = "0A", "07"  # TCP_LISTEN, TCP_CLOSE in include/net/tcp_states.h
UDP = "udp"
KINDS: "Dict[str, Tuple[str, ...]]" = {" (Stream)": (), " (Datagram)": (UDP,)}  # by what systemd says behind an address
ACCEPTS = 0x10000  # __SO_ACCEPTCON, the flag of a Unix socket that listens


def main(argv: "Sequence[str]") -> "int":
    if len(argv) != 1 or argv[0].startswith("-"):
        return usage(__doc__)
    (unit,) = argv
    units, namespace = socket_units(unit)
    status = 0
    for address in units.pop(unit, []):
        owners = [owner(inode) for taken, inode in kernel_sockets(namespace) if overlap(address, taken)]
        others = [other for other, addresses in units.items() if any(overlap(address, one) for one in addresses)]
        if owners and not others and all(pid == 1 for pid, _ in owners):
            continue
        port = "" if isinstance(address, str) else "/".join(map(str, address[2:]))
        holders = others or sorted({publisher(text, port) or text for pid, text in owners if pid != 1})
        for holder in holders:
            say("{} is in use by {}; {}, then run 'systemctl start {}' or reboot".format(
                show(address), holder, "declare another 'address' for one of them" if namespace else "free it", unit))
        status = max(status, 3 if holders else 1)
    return status


def socket_units(unit: "str") -> "Tuple[Dict[str, List[Address]], str]":
    """Return the addresses of each socket unit that is active, and of this one, in its network, and the path of that network.

    The path is empty for the host's own network, in which nearly all units listen.
    """
    shown = subprocess.Popen(["systemctl", "show", "--property=Id,ActiveState,Listen,NetworkNamespacePath", "*.socket", unit],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    found: "Dict[str, List[Address]]" = {}
    networks: "Dict[str, str]" = {}
    for block in shown.communicate()[0].decode("utf-8", "surrogateescape").split("\n\n"):
        lines = [line.partition("=") for line in block.splitlines()]
        values = {key: value for key, _, value in lines}
        if values.get("ActiveState") == "active" or values.get("Id") == unit:
            found[values.get("Id", "")] = [parse(value) for key, _, value in lines
                                           if key == "Listen" and value.endswith(tuple(KINDS))]
            networks[values.get("Id", "")] = values.get("NetworkNamespacePath", "")
    own = networks.get(unit, "")
    return {name: addresses for name, addresses in found.items() if networks[name] == own}, own


def parse(text: "str") -> "Address":
    """Return an address as systemd shows it, "[::]:80 (Stream)", as (family, bytes, port), or as a path.

    One of datagrams has UDP behind the port.
    """
    kind = next(kind for ending, kind in KINDS.items() if text.endswith(ending))
    text = text.rsplit(" ", 1)[0]
    if text.startswith(("/", "@")):
        return unescape(text)
    host, _, port = text.rpartition(":")
    if not host:  # a kernel without IPv6
        return (socket.AF_INET, bytes(4), int(port)) + kind
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    return (family, socket.inet_pton(family, host.strip("[]")), int(port)) + kind


def unescape(text: "str") -> "str":
    """Undo the C escapes in which systemd shows a path."""
    data = os.fsencode(text)
    named = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}

    def one(match: "Match[bytes]") -> "bytes":
        code = match.group(1)
        return bytes([int(code, 8)]) if code.isdigit() else named.get(code, code)

    return os.fsdecode(re.sub(rb"\\([0-7]{3}|.)", one, data))


def show(address: "Address") -> "str":
    if isinstance(address, str):
        return address
    family, host = address[:2]
    return "{}:{}".format("[{}]".format(socket.inet_ntop(family, host)) if family == socket.AF_INET6 else
                          socket.inet_ntop(family, host), "/".join(map(str, address[2:])))


def overlap(one: "Address", other: "Address") -> "bool":
    """Return whether the kernel gives one of two addresses only while the other is free."""
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    if one[2:] != other[2:]:
        return False
    every = [address for address in (one, other) if not any(address[1])]
    if one[0] == other[0]:
        return one[1] == other[1] or bool(every)
    return any(address[0] == socket.AF_INET6 for address in every)  # [::] takes IPv4 as well


def kernel_sockets(namespace: "str" = "") -> "List[Tuple[Address, str]]":
    """Return (address, inode) of every socket of a network, by its path, that waits for clients, and of every Unix one."""
    found: "List[Tuple[Address, str]]" = []
    of_tcp: "Tuple[str, Tuple[str, ...]]" = (LISTENING, ())
    of_udp: "Tuple[str, Tuple[str, ...]]" = (UNCONNECTED, (UDP,))
    for name, family, (state, kind) in (("tcp", socket.AF_INET, of_tcp), ("tcp6", socket.AF_INET6, of_tcp),
                                        ("udp", socket.AF_INET, of_udp), ("udp6", socket.AF_INET6, of_udp)):
        for line in sockets_of(name, namespace):
            words = line.split()
            if words[3] == state:
                host, _, port = words[1].partition(":")
                found.append(((family, network_order(bytes.fromhex(host)), int(port, 16)) + kind, words[9]))
    for line in lines_of("/proc/1/net/unix"):
        words = line.split(None, 7)
        if len(words) == 8 and int(words[3], 16) & ACCEPTS:
            found.append((words[7], words[6]))
    return found


def sockets_of(name: "str", namespace: "str") -> "List[str]":
    if not namespace:
        # Of systemd's own network: rpm may run scriptlets in a network namespace of their own (rpm-plugin-unshare(8)).
        return lines_of("/proc/1/net/" + name)
    done = subprocess.Popen(["nsenter", "--net=" + namespace, "cat", "/proc/net/" + name], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL)
    return os.fsdecode(done.communicate()[0]).splitlines()[1:]


def held_by(pid: "int") -> "List[Address]":
    """Return the addresses on which a process holds a listening socket."""
    held = set(descriptors("/proc/{}".format(pid)))
    return [address for address, inode in kernel_sockets() if "socket:[{}]".format(inode) in held]


def network_order(data: "bytes") -> "bytes":
    """Return an address that stands in words of four bytes, each in the order of this machine."""
    step = -1 if sys.byteorder == "little" else 1
    return b"".join(data[index:index + 4][::step] for index in range(0, len(data), 4))


def lines_of(path: "str") -> "List[str]":
    try:
        with open(path, "rb") as stream:
            return os.fsdecode(stream.read()).splitlines()[1:]
    except OSError:
        return []  # a kernel without IPv6


def owner(inode: "str") -> "Tuple[int, str]":
    """Return the lowest process that holds a socket, and what to call it."""
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        directory = "/proc/{}".format(pid)
        if not any(link == "socket:[{}]".format(inode) for link in descriptors(directory)):
            continue
        try:
            with open(os.path.join(directory, "comm")) as stream:
                command = stream.read().strip()
            with open(os.path.join(directory, "cgroup")) as stream:
                group = stream.read().strip().splitlines()[-1].rpartition("/")[2]
            return pid, "{} (process {}{})".format(command, pid, ", " + group if "." in group else "")
        except OSError:
            continue  # it has ended meanwhile
    return 0, "a process in another namespace"


def descriptors(directory: "str") -> "Iterator[str]":
    """Yield what the open files of a process are; it may open and close others meanwhile."""
    try:
        names = os.listdir(os.path.join(directory, "fd"))
    except OSError:
        return
    for name in names:
        try:
            yield os.readlink(os.path.join(directory, "fd", name))
        except OSError:
            continue


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Match, Sequence, Tuple, Union

    # The path of a Unix socket, or family, address and port, and for datagrams UDP.
    Address = Union[str, Tuple[Any, ...]]
