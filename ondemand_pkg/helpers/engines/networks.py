"""The network in which a process is: the host's, or one of its own.

Knows proc(5): namespaces, addresses and tables of TCP sockets; hides their forms.  A program that starts containers is in the
host's network, and the first process of its container, a child of it, may not be.
"""

import _socket
import os

ESTABLISHED, UNCONNECTED, LISTENING = "01", "07", "0A"  # of include/net/tcp_states.h, which holds for UDP too
MOST_PROCESSES = 256  # below one that are looked at
MAPPED = "0000000000000000FFFF0000"  # what stands before an IPv4 address in an IPv6 socket
GLOBAL = "00"  # the scope of an address in if_inet6
LOOPBACK = "lo"
OF_HOST = ["127.0.0.1", "::1"]


def addresses_of(process: "int", ports: "Sequence[int]", datagrams: "Sequence[int]") -> "List[str]":
    """Return the addresses at which the host reaches a process: one of IPv4, one of IPv6; none where that is not known yet.

    In the host's network it is, once it listens on one of its ports (those of UDP in ``datagrams``).  Before, a program that
    starts a container may not have made its network yet.
    """
    inside = within(process)
    if inside is not None:
        return first_of(ipv4_of(inside)) + first_of(ipv6_of(inside))
    return OF_HOST if serves(process, ports, datagrams) else []


def within(process: "int") -> "Optional[int]":
    """Return the process, or one below it, that has a network of its own; None where all are in the host's."""
    own = network_of(os.getpid())
    for one in tree_of(process):
        network = network_of(one)
        if network and network != own:
            return one
    return None


def tree_of(process: "int") -> "List[int]":
    """Return a process and those below it, the nearest first."""
    found = [process]
    for one in found:
        if len(found) >= MOST_PROCESSES:
            break
        found += children_of(one)
    return found


def serves(process: "int", ports: "Sequence[int]", datagrams: "Sequence[int]") -> "bool":
    """Return whether a process, or one below it, has one of the ports of the host's network."""
    wanted = set()
    for tables, of_them, state in ((("tcp", "tcp6"), ports, LISTENING), (("udp", "udp6"), datagrams, UNCONNECTED)):
        for table in tables:
            for words in rows_of(os.getpid(), table):
                if words[3] == state and end(words[1])[1] in of_them:
                    wanted.add("socket:[{}]".format(words[9]))
    return bool(wanted) and any(target in wanted for one in tree_of(process) for target in open_files_of(one))


def open_files_of(process: "int") -> "Iterator[str]":
    directory = "/proc/{}/fd".format(process)
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        try:
            yield os.readlink(os.path.join(directory, name))
        except OSError:
            continue  # closed meanwhile


def network_of(process: "int") -> "str":
    try:
        return os.readlink("/proc/{}/ns/net".format(process))
    except OSError:
        return ""


def children_of(process: "int") -> "List[int]":
    try:
        return [int(child) for thread in os.listdir("/proc/{}/task".format(process))
                for child in content("/proc/{}/task/{}/children".format(process, thread)).split()]
    except OSError:
        return []


def content(path: "str") -> "str":
    try:
        with open(path) as stream:
            return stream.read()
    except (OSError, ValueError):
        return ""


def ipv4_of(process: "int") -> "Iterator[str]":
    before = ""
    for line in content("/proc/{}/net/fib_trie".format(process)).splitlines():
        if "/32 host LOCAL" in line and not before.startswith("127."):
            yield before
        before = line.split()[-1] if line.split() else ""


def ipv6_of(process: "int") -> "Iterator[str]":
    for line in content("/proc/{}/net/if_inet6".format(process)).splitlines():
        number, _, _, scope, _, interface = line.split()
        if scope == GLOBAL and interface != LOOPBACK:
            yield _socket.inet_ntop(_socket.AF_INET6, bytes(bytearray.fromhex(number)))


def first_of(addresses: "Iterator[str]") -> "List[str]":
    return [address for address in addresses][:1]


def has_other_clients(process: "int", ports: "Sequence[int]", relay: "Optional[int]") -> "bool":
    """Return whether a server there has an open connection that is not one of the relay's, which runs as that user.

    In the host's network, a server is whoever listens on one of ``ports``; in one of its own, whoever listens, and connections to
    itself don't count.
    """
    inside = within(process)
    rows = sockets_of(inside or process)
    served = {port for (_, port), _, state, _ in rows if state == LISTENING and (inside or port in ports)}
    own = {here for here, _, state, user in sockets_of(os.getpid()) if state == ESTABLISHED and user == relay}
    return any(state == ESTABLISHED and here[1] in served and there not in own and not (inside and here[0] == there[0])
               for here, there, state, _ in rows)


def sockets_of(process: "int") -> "List[Tuple[End, End, str, int]]":
    """Return both ends, state and user of each TCP socket in the network of a process."""
    found = []
    for table in ("tcp", "tcp6"):
        for words in rows_of(process, table):
            found.append((end(words[1]), end(words[2]), words[3], int(words[7])))
    return found


def rows_of(process: "int", table: "str") -> "List[List[str]]":
    return [line.split() for line in content("/proc/{}/net/{}".format(process, table)).splitlines()[1:]]


def end(text: "str") -> "End":
    address, _, port = text.partition(":")
    return address[len(MAPPED):] if address.startswith(MAPPED) else address, int(port, 16)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, List, Optional, Sequence, Tuple

    End = Tuple[str, int]
