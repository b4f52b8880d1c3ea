"""The ends of connections, and the pipes between them.

Knows what is remembered of one end, and how a connection is aborted; hides splice(2).
"""

import _socket
import fcntl
import os
import select

from carriers import IGNORE

PIECE = 256 * 1024  # bytes that are read at once
F_SETPIPE_SZ = 1031  # include/uapi/linux/fcntl.h; in Python from 3.10 on
ABORT = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # struct linger: a close sends RST

READABLE = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
LAST = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET


class Listener:
    """A listening socket, and the port of the workload that it leads to."""

    def __init__(self, socket: "Socket", port: "int") -> "None":
        socket.setblocking(False)
        self.socket = socket
        self.port = port
        self.clients = 0  # accepted, and not ended
        self.silent = 0  # of these, those that are not led on because they have sent nothing
        self.attempts = 0  # to connect to the workload, under way
        self.is_full = False  # accepts nobody until a client has ended
        self.heeds = IGNORE  # what is done with clients that come


class End:
    """One end of a connection, and what was read here and could not be sent at the other end yet (bytes, or a Pipe)."""

    __slots__ = ("socket", "is_open", "listener", "peer", "pending", "readable", "last", "finished", "begun", "refused", "whole",
                 "counts", "owes", "follower")

    def __init__(self, socket: "Socket", listener: "Listener") -> "None":
        self.socket = socket
        self.is_open = True
        self.listener = listener  # by which the client came
        self.peer: "Any" = None  # the other End, once there is one
        self.pending: "Any" = None  # bytes, or a Pipe
        self.readable = False
        self.last = False  # everything up to the end of the stream is there to be read
        self.finished = False  # the end of the stream was passed on
        self.begun = 0.0  # when the workload was first asked to take it, or this attempt was begun
        self.refused = 0.0  # when the workload first refused it
        self.counts = True  # what moves here is traffic; not so, where not every connection wakes, until the client's bytes are
        self.owes = False  # the other end was the last one to send something
        self.follower: "Optional[Follower]" = None  # of a client that may have sent probes alone
        self.whole = 0  # pieces read here one after the other that were as large as can be


class Pipe:
    """Bytes on their way from one socket to another that this process does not copy (splice(2))."""

    __slots__ = ("reader", "writer", "held")

    def __init__(self) -> "None":
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.held = 0
        try:
            fcntl.fcntl(self.writer, F_SETPIPE_SZ, PIECE)
        except OSError:
            pass  # it is smaller then

    def __len__(self) -> "int":
        return self.held

    def fill(self, socket: "Socket") -> "int":
        """Take what a socket has; return how much that is, 0 at the end of the stream.  Raises OSError."""
        self.held = os.splice(socket.fileno(), self.writer, PIECE)
        return self.held

    def empty(self, socket: "Socket") -> "None":
        """Give a socket as much as it takes.  Raises OSError."""
        self.held -= os.splice(self.reader, socket.fileno(), self.held)

    def close(self) -> "None":
        os.close(self.reader)
        os.close(self.writer)


def abort(socket: "Socket") -> "None":
    """Close a connection so that the other side learns that not everything came over."""
    try:
        socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, ABORT)
    except OSError:
        pass
    socket.close()


def has_bytes(socket: "Socket") -> "bool":
    """Return whether bytes are there to be read from a socket."""
    try:
        return bool(socket.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT))
    except OSError:
        return False


TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Any, Optional

    from carriers.health import Follower
