"""systemd's manager, asked to start a unit by its own socket: a program that asks costs a wake some ten milliseconds.

Knows as much of D-Bus as that takes (D-Bus Specification, "Message Protocol"; sd_bus_open_system(3)); hides messages.  The socket
is root's, and what is written there comes from this package alone.
"""

import _socket as socket  # the module `socket` takes as long to load as the interpreter itself
import os

from engines import EngineDown, EngineError, Pending

SOCKET = "/run/systemd/private"
LIST, MANAGER = "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"
CALL, ANSWER, ERROR, SIGNAL = 1, 2, 3, 4  # types of messages
FIXED = 16  # bytes before the fields of a header
LONGEST = 1 << 20  # bytes of a message; those of the manager have some hundred
REMOVED, DONE = b"JobRemoved", b"done"
BLOCK, END = 65536, b"\r\n"
PATIENCE = 5.0  # seconds until it is asked by the command instead


class Job(Pending):
    """A unit on its way to be started.  Raises OSError where the manager can't be asked so."""

    def __init__(self, unit: "str") -> "None":
        self.unit = unit
        self.found = b""
        self.stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self.stream.settimeout(PATIENCE)
            self.stream.connect(SOCKET)
            self.stream.sendall(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode("ascii").hex().encode("ascii") + b"\r\nBEGIN\r\n")
            # What comes together with these lines, the manager does not look at before more comes.
            while END not in self.found:
                self.read()
            line, _, self.found = self.found.partition(END)
            if not line.startswith(b"OK "):
                raise OSError(line.decode("utf-8", "replace"))
            self.stream.sendall(start(unit))
            self.stream.settimeout(None)
        except OSError:
            self.stream.close()
            raise

    def fileno(self) -> "int":
        return self.stream.fileno()

    def done(self) -> "None":
        try:
            result = self.result()
        except OSError as error:
            raise EngineDown("systemd does not answer: {}".format(error)) from None
        finally:
            self.stream.close()
        if result != DONE:
            raise EngineError("systemd did not start {0}: {1}; see 'journalctl -u {0}'".format(
                self.unit, result.decode("utf-8", "replace")))

    def result(self) -> "bytes":
        """Wait until the job is over, and return what has come of it."""
        job = b""
        while True:
            kind, header, body = self.message()
            if kind == ANSWER:
                job = body[4:]  # the path of this job; others of the unit may end meanwhile
            if kind == ERROR:
                return body[4:].split(b"\0")[0]  # its text comes first
            if kind == SIGNAL and REMOVED in header and job and job in body:
                # Before the last text is its length, of which a byte may be no zero.
                return body.rstrip(b"\0").rpartition(b"\0")[2].lstrip(bytes(range(32)))

    def message(self) -> "Tuple[int, bytes, bytes]":
        """Return the type, the header and the body of the next message."""
        while len(self.found) < FIXED:
            self.read()
        order = "little" if self.found[:1] == b"l" else "big"
        of_body = int.from_bytes(self.found[4:8], order)  # type: ignore[arg-type, unused-ignore] # one of the two
        fields = int.from_bytes(self.found[12:16], order)  # type: ignore[arg-type, unused-ignore] # one of the two
        begin = FIXED + (fields + 7) // 8 * 8
        end = begin + of_body
        if end > LONGEST:
            raise OSError("a message of {} bytes".format(end))
        while len(self.found) < end:
            self.read()
        message, self.found = self.found[:end], self.found[end:]
        return message[1], message[:begin], message[begin:]

    def read(self) -> "None":
        block = self.stream.recv(BLOCK)
        if not block:
            raise OSError("it has closed the connection")
        self.found += block


def start(unit: "str") -> "bytes":
    """Return the message that has a unit started."""
    fields = b"".join(padded(field(*one), 8) for one in ((1, "o", LIST), (2, "s", MANAGER), (3, "s", "StartUnit"), (6, "s", (
        "org.freedesktop.systemd1"))))
    fields += b"\x08\x01g\0\x02ss\0"
    body = padded(text(unit), 4) + text("replace")
    head = b"l" + bytes((CALL, 0, 1)) + number(len(body)) + number(1) + number(len(fields))
    return padded(head + fields, 8) + body


def field(code: "int", kind: "str", value: "str") -> "bytes":
    return bytes((code, 1)) + kind.encode("ascii") + b"\0" + text(value)


def text(value: "str") -> "bytes":
    return number(len(value)) + value.encode("ascii") + b"\0"


def number(value: "int") -> "bytes":
    return value.to_bytes(4, "little")


def padded(data: "bytes", boundary: "int") -> "bytes":
    return data + bytes(-len(data) % boundary)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Tuple
