"""Messages to the kernel's packet filter, and its answers (netlink(7), nfnetlink).

Knows how messages and attributes are laid out, how a batch succeeds or fails as a whole, and how long an answer may take; hides
the socket.  What is in messages is in kernel_table.py and tracked.py.  A table that is owned lives as long as the socket that
made it.
"""

import _socket
import os
import struct

AF_NETLINK, NETFILTER = 16, 12
REQUEST, ACK, DUMP, CREATE = 0x1, 0x4, 0x300, 0x400  # flags of messages
ERROR, DONE = 2, 3  # types of messages
BATCH_BEGIN, BATCH_END = 16, 17
TABLES = 10  # the part of nfnetlink that takes batches
NESTED, KIND = 0x8000, 0x3FFF  # of an attribute's type
HEADER = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")
OF_FILTER = struct.Struct(">BBH")  # family, version, which is 0, and a number
PIECE = 1 << 18  # bytes that are read at once
PATIENCE = (5, 0)  # seconds and microseconds for an answer


def attribute(kind: "int", value: "bytes") -> "bytes":
    return ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def nested(kind: "int", *parts: "bytes") -> "bytes":
    return attribute(kind | NESTED, b"".join(parts))


def number(kind: "int", value: "int") -> "bytes":
    return attribute(kind, struct.pack(">I", value))


def text(kind: "int", value: "str") -> "bytes":
    return attribute(kind, value.encode("ascii") + b"\0")


def attributes(data: "bytes") -> "Dict[int, bytes]":
    """Return the values of attributes that follow each other, by their kinds."""
    found: "Dict[int, bytes]" = {}
    at = 0
    while at + 4 <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, at)
        if length < 4:
            break
        found[kind & KIND] = data[at + 4:at + length]
        at += length + -length % 4
    return found


class Netlink:
    """A socket to the packet filter.  Every method raises OSError where the kernel refuses."""

    def __init__(self) -> "None":
        self.socket = _socket.socket(AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, NETFILTER)
        self.socket.bind((0, 0))
        self.socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_RCVTIMEO, struct.pack("@ll", *PATIENCE))
        self.last = 0

    def message(self, kind: "int", flags: "int", family: "int", body: "bytes", part: "int" = 0) -> "bytes":
        self.last += 1
        content = OF_FILTER.pack(family, 0, part) + body
        return HEADER.pack(HEADER.size + len(content), kind, flags | REQUEST, self.last, 0) + content

    def change(self, messages: "Sequence[Tuple[int, int, int, bytes]]") -> "None":
        """Make several changes of tables at once, or none of them: each a kind, flags, a family and attributes."""
        packets = [self.message(BATCH_BEGIN, 0, 0, b"", TABLES)]
        for kind, flags, family, body in messages[:-1]:
            packets.append(self.message(TABLES << 8 | kind, flags, family, body))
        kind, flags, family, body = messages[-1]
        packets.append(self.message(TABLES << 8 | kind, flags | ACK, family, body))
        awaited = self.last
        packets.append(self.message(BATCH_END, 0, 0, b"", TABLES))
        self.socket.send(b"".join(packets))
        self._until(awaited)

    def ask(self, kind: "int", family: "int", body: "bytes") -> "bytes":
        """Return the attributes of one thing; ``kind`` is the whole type of the message."""
        self.socket.send(self.message(kind, 0, family, body))
        for found, _, content in self._received(self.last):
            if found != DONE:
                return content
        return b""

    def order(self, kind: "int", family: "int", body: "bytes") -> "None":
        """Have one thing done that is no table's."""
        self.socket.send(self.message(kind, ACK, family, body))
        self._until(self.last)

    def all(self, kind: "int", family: "int", body: "bytes") -> "List[bytes]":
        """Return the attributes of all things of a kind."""
        self.socket.send(self.message(kind, DUMP, family, body))
        found: "List[bytes]" = []
        while True:
            for one, _, content in self._received(self.last):
                if one == DONE:
                    return found
                found.append(content)

    def _until(self, awaited: "int") -> "None":
        failure = None
        while True:
            try:
                if any(one == ERROR and number == awaited for one, number, _ in self._received(None)):
                    break
            except Refused as error:
                failure = failure or error
                if error.number == awaited:
                    break
        if failure is not None:
            raise failure

    def _received(self, awaited: "Optional[int]") -> "Iterator[Tuple[int, int, bytes]]":
        """Yield kind, number and content of each message of the next packet, of one request or of any."""
        data = self.socket.recv(PIECE)
        at = 0
        refused = None
        while at + HEADER.size <= len(data):
            length, kind, _, number, _ = HEADER.unpack_from(data, at)
            content = data[at + HEADER.size:at + max(length, HEADER.size)]
            at += max(HEADER.size, length + -length % 4)
            if awaited is not None and number != awaited:
                continue
            if kind == ERROR:
                code = -struct.unpack_from("=i", content)[0]
                if code:
                    refused = refused or Refused(code, number)
                    continue
            elif kind != DONE:
                content = content[OF_FILTER.size:]
            yield kind, number, content
        if refused is not None:
            raise refused


class Refused(OSError):
    """The kernel has refused a message; ``number`` is that of the message."""

    def __init__(self, code: "int", number: "int") -> "None":
        super().__init__(code, os.strerror(code))
        self.number = number


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterator, List, Optional, Sequence, Tuple
