"""Requests that ask for a service's health (health = { path, status, body }), which are no traffic.

Knows the first bytes of such a request, the PROXY header that may be before it, and the answer; hides HTTP, of which nothing is
read but the request line, and, of requests that follow on one connection, where a head ends.
"""

import os

NOTHING, PART, PROBE, DATA = "nothing", "part", "probe", "data"  # what a client's first bytes are

LONGEST_LINE = 107  # bytes of a PROXY header of version 1 (haproxy's proxy-protocol.txt)
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"  # of version 2
SHORTEST, LONGEST = 16, 1024  # bytes of a header of version 2
LONGEST_HEAD = 16384  # bytes of a request; a longer one is traffic
END_OF_HEAD = b"\r\n\r\n"
BODILESS = (204, 304)


class Health:
    """The requests for one path, and their answer; everything else that a client sends is its own matter."""

    def __init__(self, path: "str", status: "int" = 200, body: "str" = "") -> "None":
        target, content = os.fsencode(path), os.fsencode(body)
        # These lines and no others: whatever is written in another way wakes.
        self.lines = [method + b" " + target + b" HTTP/1." + minor + b"\r\n"
                      for method in (b"GET", b"HEAD") for minor in (b"1", b"0")]
        self.longest = LONGEST + max(map(len, self.lines))  # bytes that tell what a client wants
        head = "HTTP/1.1 {} {}\r\n".format(status, "OK" if status == 200 else "")
        if status not in BODILESS:
            head += "Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n".format(len(content))
        self.head = (head + "Cache-Control: no-store\r\nConnection: close\r\n\r\n").encode("ascii")
        self.whole = self.head + content

    def kind(self, data: "bytes") -> "str":
        """Return what the first bytes of a client are: NOTHING but a PROXY header, PART of a probe's line, a PROBE, or DATA."""
        begin = length_of_header(data)
        if begin is None:
            return PART if data else NOTHING
        return self.kind_of_line(data[begin:]) if begin >= 0 else DATA

    def kind_of_line(self, data: "bytes") -> "str":
        if not data:
            return NOTHING
        if data.startswith(tuple(self.lines)):
            return PROBE
        return PART if any(line.startswith(data) for line in self.lines) else DATA

    def follower(self) -> "Follower":
        """Return what looks at all that one client sends."""
        return Follower(self)

    def answer(self, data: "bytes") -> "bytes":
        """Return the answer to a probe."""
        return self.head if data[length_of_header(data) or 0:].startswith(b"HEAD") else self.whole


class Follower:
    """What one client sends to a workload that is awake, as long as it is probes."""

    __slots__ = ("health", "kept", "is_in_head", "is_first")

    def __init__(self, health: "Health") -> "None":
        self.health = health
        self.kept = b""  # what does not tell enough yet
        self.is_in_head = False
        self.is_first = True

    def is_probe(self, data: "bytes") -> "bool":
        """Return whether everything up to these bytes, which come next, was probes, as far as can be said."""
        self.kept += data
        while True:
            if self.is_in_head:
                end = self.kept.find(END_OF_HEAD)
                if end < 0:
                    return len(self.kept) <= LONGEST_HEAD
                self.kept, self.is_in_head, self.is_first = self.kept[end + len(END_OF_HEAD):], False, False
            kind = (self.health.kind if self.is_first else self.health.kind_of_line)(self.kept)
            if kind != PROBE:
                return kind != DATA
            if self.is_first:
                self.kept = self.kept[length_of_header(self.kept) or 0:]
            self.is_in_head = True


def length_of_header(data: "bytes") -> "Optional[int]":
    """Return how long the PROXY header is with which bytes begin, 0 where there is none.

    None where that can't be said yet, -1 where it is none that can be skipped.
    """
    if data.startswith(SIGNATURE):
        if len(data) < SHORTEST:
            return None
        length = SHORTEST + int.from_bytes(data[SHORTEST - 2:SHORTEST], "big")
        if data[12] >> 4 != 2 or length > LONGEST:
            return -1
        return length if len(data) >= length else None
    if data.startswith(b"PROXY "):
        end = data.find(b"\r\n", 0, LONGEST_LINE)
        return end + 2 if end >= 0 else None if len(data) < LONGEST_LINE else -1
    return None if SIGNATURE.startswith(data) or b"PROXY ".startswith(data) else 0


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional
