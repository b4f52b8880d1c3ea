"""What clients send to a container, as the kernel shows it at the container's own network.

Knows network namespaces, packet sockets (packet(7)), and the headers of IP, TCP (RFC 9293) and UDP; hides them.  Nothing is
changed on the host, and nothing of what is sent is kept but its length.  What a container says to itself is no traffic, and
neither is what answers its own questions.
"""

import ctypes
import os
import select
import socket
import struct
import time

LONGEST = 128  # bytes of a packet that are looked at: its headers
BATCH = 256  # packets of one container until the next one has its turn
MOST_PACKETS = 50000  # of a container that is in use
MOST_CLIENTS = 1024  # whose addresses are kept
MOST_CONNECTIONS = 4096  # that are told from answers that were sent twice
LOOPBACK = "lo"
OUTGOING = 4  # PACKET_OUTGOING of <linux/if_packet.h>
ALL_PROTOCOLS = 3  # ETH_P_ALL of <linux/if_ether.h>
IPV4, IPV6 = 0x0800, 0x86DD
TCP, UDP = 6, 17
SYN, ACK = 2, 16
NEW_NETWORK = 0x40000000  # CLONE_NEWNET of <sched.h>


class Traffic:
    """What was seen of one container until now."""

    def __init__(self, udp_ports: "Iterable[int]" = ()) -> None:
        self.udp_ports = frozenset(udp_ports)  # those that it offers: all others have answers to its own questions
        self.connections = 0  # that were opened meanwhile
        self.open_before = 0  # connections, without any byte perhaps
        self.datagrams = 0
        self.bytes = 0  # of data, both ways
        self.ports: "Set[int]" = set()  # those of the container to which clients came
        self.clients: "Dict[str, int]" = {}  # connections and datagrams, by address
        self.packets = 0
        self._known: "Set[Tuple[str, int, int]]" = set()

    def see(self, packet: "Packet", is_outgoing: "bool") -> None:
        """Count a packet that came to the container, or left it."""
        own, other = (packet.source_port, packet.target_port) if is_outgoing else (packet.target_port, packet.source_port)
        client = packet.target if is_outgoing else packet.source
        if packet.protocol == UDP:
            if own in self.udp_ports:
                self.bytes += packet.data
                if not is_outgoing:
                    self.datagrams += 1
                    self._count(client, own)
        elif packet.flags & (SYN | ACK) == SYN | ACK and is_outgoing:  # the container has taken a connection
            if (client, other, own) not in self._known and len(self._known) < MOST_CONNECTIONS:
                self._known.add((client, other, own))
                self.connections += 1
                self._count(client, own)
        elif own in self.ports:
            self.bytes += packet.data
        self.packets += 1

    def holds(self, client: "str", port: "int") -> None:
        """Count a connection that was open before anybody looked."""
        self.open_before += 1
        self._count(client, port)

    def _count(self, client: "str", port: "int") -> None:
        self.ports.add(port)
        if client in self.clients or len(self.clients) < MOST_CLIENTS:
            self.clients[client] = self.clients.get(client, 0) + 1

    @property
    def is_any(self) -> "bool":
        return bool(self.connections or self.open_before or self.datagrams)

    @property
    def is_enough(self) -> "bool":
        """Whether it is in use beyond doubt: to look at more would cost the host more than it tells."""
        return self.packets >= MOST_PACKETS and self.is_any


class Packet:
    """The headers of a TCP segment or a UDP datagram; ``data`` is the length of what it carries, in bytes."""

    def __init__(self, protocol: "int", source: "str", target: "str", ports: "Tuple[int, int]", flags: "int",
                 data: "int") -> None:
        self.protocol = protocol
        self.source, self.target = source, target
        self.source_port, self.target_port = ports
        self.flags = flags
        self.data = data


def packet(kind: "int", head: "bytes") -> "Optional[Packet]":
    """Return what the beginning of a packet says, None where it is neither TCP nor UDP, or a later fragment."""
    try:
        if kind == IPV4:
            length, protocol = struct.unpack_from(">2xH5xB", head)
            begin = 4 * (head[0] & 15)
            source, target = (socket.inet_ntop(socket.AF_INET, head[at:at + 4]) for at in (12, 16))
            if struct.unpack_from(">6xH", head)[0] & 0x1FFF:
                return None
        elif kind == IPV6:
            length, protocol = struct.unpack_from(">4xHB", head)
            begin = 40
            length += begin
            source, target = (socket.inet_ntop(socket.AF_INET6, head[at:at + 16]) for at in (8, 24))
        else:
            return None
        if protocol == UDP:
            return Packet(protocol, source, target, struct.unpack_from(">HH", head, begin), 0, max(0, length - begin - 8))
        if protocol == TCP:
            offset, flags = struct.unpack_from(">BB", head, begin + 12)
            data = max(0, length - begin - 4 * (offset >> 4))
            return Packet(protocol, source, target, struct.unpack_from(">HH", head, begin), flags, data)
    except (struct.error, ValueError, IndexError):
        pass  # cut off
    return None


def watched(process: "int") -> "socket.socket":
    """Return a socket that hears every packet of the network of a process.  Raises OSError, where root does not ask too."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(namespace: "int") -> None:
        if libc.setns(namespace, NEW_NETWORK):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    with open("/proc/self/ns/net") as own, open("/proc/{}/ns/net".format(process)) as other:
        enter(other.fileno())
        try:
            found = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ALL_PROTOCOLS))
        finally:
            enter(own.fileno())
    found.setblocking(False)
    return found


def listen(watching: "Dict[socket.socket, Traffic]", until: "float") -> None:
    """Count what comes to each network until a moment (time.monotonic())."""
    poll = select.poll()
    by_descriptor = {one.fileno(): one for one in watching}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.POLLIN)
    while True:
        left = until - time.monotonic()
        if left <= 0:
            return
        for descriptor, _ in poll.poll(1000 * left):
            one = by_descriptor[descriptor]
            try:
                for _ in range(BATCH):
                    head, (interface, kind, how, _, _) = one.recvfrom(LONGEST)
                    found = packet(kind, head) if interface != LOOPBACK else None
                    if found is not None:
                        watching[one].see(found, how == OUTGOING)
            except BlockingIOError:
                pass
            except OSError:
                poll.unregister(descriptor)  # its network has gone
                continue
            if watching[one].is_enough:
                poll.unregister(descriptor)


def has_server(process: "int") -> "bool":
    """Return whether anything in the network of a process takes TCP connections that come from outside."""
    return any(state == "0A" and not own.startswith("127.") and own != "::1"
               for name in ("tcp", "tcp6") for (own, _), _, state in _rows("/proc/{}/net/{}".format(process, name)))


def open_connections(process: "int") -> "Iterator[Tuple[str, int]]":
    """Yield the client and the port of each connection to a server in the network of a process, but for those to itself."""
    rows = [row for name in ("tcp", "tcp6") for row in _rows("/proc/{}/net/{}".format(process, name))]
    served = {port for (_, port), _, state in rows if state == "0A"}
    for (own, port), (client, _), state in rows:
        if state == "01" and port in served and client != own and not client.startswith("127."):
            yield client, port


def _rows(path: "str") -> "List[Tuple[Tuple[str, int], Tuple[str, int], str]]":
    """Return both ends and the state of each TCP socket (proc(5))."""
    try:
        with open(path) as stream:
            words = [line.split()[1:4] for line in stream][1:]
    except OSError:
        return []
    return [(_end(own), _end(other), state) for own, other, state in words]


def _end(text: "str") -> "Tuple[str, int]":
    address, _, port = text.partition(":")
    numbers = b"".join(struct.pack("=I", int(address[at:at + 8], 16)) for at in range(0, len(address), 8))
    if len(numbers) == 4:
        return socket.inet_ntop(socket.AF_INET, numbers), int(port, 16)
    if numbers.startswith(bytes(10) + b"\xff\xff"):
        return socket.inet_ntop(socket.AF_INET, numbers[12:]), int(port, 16)
    return socket.inet_ntop(socket.AF_INET6, numbers), int(port, 16)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterable, Iterator, List, Optional, Set, Tuple
