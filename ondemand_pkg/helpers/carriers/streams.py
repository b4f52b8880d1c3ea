"""TCP and Unix streams between clients and the workload.

Knows how bytes are carried in both directions between clients and the workload that has taken them; hides that each socket is
registered once, edge-triggered.  Knows nothing of systemd and of the workload's life.
"""

import _socket
import os
import select
import time

from carriers import HOLD, IGNORE, Carrier
from carriers.arriving import Arriving
from carriers.ends import LAST, PIECE, READABLE, Pipe, abort

BULK = 4  # whole pieces one after the other, after which a connection's bytes are spliced
SMALL = 64 * 1024  # bytes; where no more are there, a copy costs less than two calls
PIPES = 64  # at once: so many that the kernel gives an unprivileged user of this size (pipe(7), pipe-user-pages-soft)
SPLICES = hasattr(os, "splice")  # from Python 3.10 on
SILENCE = 1.0  # seconds until a connection without a byte is no probe's, where connections keep it awake
TURN = 16  # pieces of one connection before the others have their turn


class Streams(Carrier):
    """All connections of one service.

    ``header`` returns, for an accepted socket, the bytes that go to the workload before the client's; ``is_allowed`` whether an
    accepted socket may connect at all; ``data_timeout`` for how many seconds a client that has sent nothing is awaited, where
    only data wakes.  What moves on a connection is traffic there only once its client has sent something, and with ``health``
    only once that is more than requests for the health.
    """

    def __init__(self, loop: "Loop", listeners: "Sequence[Listener]", header: "Optional[Callable[[Socket], bytes]]" = None,
                 is_allowed: "Optional[Callable[[Socket], bool]]" = None, data_timeout: "Optional[float]" = None,
                 health: "Optional[Health]" = None, tally: "Optional[Tally]" = None) -> "None":
        self.loop = loop
        self.header = header
        self.health = health
        self.silence_counts = data_timeout is None
        self.arriving = Arriving(loop, listeners, is_allowed, lambda client: self.on_client(client), lambda: self.on_wanted(),
                                 lambda: self.on_doubt(), self.joined, data_timeout, health, tally)
        self.ends: "Dict[int, End]" = {}  # both ends of each connection by their file descriptors
        self.inner: "Set[End]" = set()  # those of them towards the workload
        self.turns: "List[End]" = []  # ends whose turn was over before all of their bytes were carried
        self.moved = False  # whether bytes have moved since that was asked last
        self.buffer = memoryview(bytearray(PIECE))
        self.pipes: "List[Optional[Pipe]]" = [None] * PIPES if SPLICES else []  # None is one that was not made yet
        self.carry = self.carry_bytes

    # What a service asks

    def heed(self, what: "str") -> "None":
        self.arriving.heed(IGNORE if what == HOLD else what)

    def lead_to(self, address: "Optional[Tuple[int, str]]") -> "None":
        self.arriving.lead_to(address)

    def refuse(self) -> "None":
        self.arriving.refusing = True

    def reset_held(self) -> "None":
        self.arriving.reset()

    def end(self) -> "None":
        for end in list(self.inner):
            self.close(end, _socket.socket.close if end.finished else abort)

    def await_answer(self) -> "None":
        self.carry = self.carry_first

    def connections(self) -> "int":
        return len(self.inner)

    def keeping(self) -> "int":
        if self.arriving.silent is None:
            return len(self.inner)
        return sum(end.counts or self.is_silence(end) for end in self.inner)

    def asking(self) -> "bool":
        return any(end.owes and end.counts and not end.finished for end in self.inner)

    def waiting(self) -> "int":
        clients = self.arriving.clients
        return len(clients) if self.arriving.silent is None else sum(client.counts for client in clients.values())

    def silent(self) -> "int":
        return len(self.arriving.silent) if self.arriving.silent is not None else 0

    def unfinished(self) -> "int":
        return sum(not end.finished for end in self.inner)

    def first_held(self) -> "Optional[Socket]":
        return next((client.socket for client in self.arriving.clients.values() if client.counts), None)

    def has_moved(self) -> "bool":
        moved, self.moved = self.moved, False
        return moved

    def due(self) -> "Optional[float]":
        return 0.0 if self.turns else self.arriving.due()

    def turn(self) -> "None":
        turns, self.turns = self.turns, []
        for end in turns:
            if end.is_open:
                self.carry(end)
        self.arriving.turn()

    # Both ways

    def joined(self, client: "End", end: "End", mask: "int") -> "None":
        """The workload has taken a client; ``mask`` is what happened at its end meanwhile."""
        if self.header is not None:
            client.pending = memoryview(self.header(client.socket))
        self.inner.add(end)
        end.counts = client.counts
        for one in (client, end):
            self.ends[one.socket.fileno()] = one
            self.loop.callbacks[one.socket.fileno()] = self.happened
        if client.pending is not None or client.readable:
            self.carry(client)
        if mask & READABLE and end.is_open:  # a server that speaks first
            end.readable = True
            end.last = bool(mask & LAST)
            self.carry(end)

    def happened(self, descriptor: "int", mask: "int") -> "None":
        """See to an end of a connection."""
        end = self.ends[descriptor]
        if mask & READABLE:
            end.readable = True
            if mask & LAST:
                end.last = True
            self.carry(end)
        if mask & select.EPOLLOUT and end.is_open and end.peer.pending is not None:
            self.carry(end.peer)

    def carry_first(self, source: "End") -> "None":
        """Carry, and tell when the workload's first byte is on its way to a client."""
        from_workload = source in self.inner and source.counts
        moved, self.moved = self.moved, False
        self.carry_bytes(source)
        if self.moved and from_workload:
            self.carry = self.carry_bytes
            self.on_answer()
        self.moved = self.moved or moved

    def carry_bytes(self, source: "End") -> "None":
        """Carry what can be carried from one end to the other."""
        sink = source.peer
        try:
            for _ in range(TURN):
                if source.pending is not None:
                    self.send_pending(source, sink)
                    if source.pending is not None:
                        return
                if not source.readable or source.finished:
                    return
                spliced = source.whole >= BULK and source.counts and bool(self.pipes)
                try:
                    size = self.splice(source) if spliced else source.socket.recv_into(self.buffer)
                except BlockingIOError:
                    source.readable = False
                    return
                if spliced:
                    if size == 0:
                        self.finish(source)
                        return
                    if size:
                        source.owes, sink.owes = False, True
                    continue
                if not size:
                    self.finish(source)
                    return
                if not source.counts:
                    self.weigh(source, size)
                self.moved = self.moved or source.counts
                source.owes, sink.owes = False, True
                try:
                    sent = sink.socket.send(self.buffer[:size])
                except BlockingIOError:
                    sent = 0
                source.whole = source.whole + 1 if size == PIECE else 0
                if sent < size:
                    source.pending = memoryview(bytes(self.buffer[sent:size]))
                    return
                if size < PIECE and not source.last:
                    source.readable = False  # a short read has emptied the socket (epoll(7), question 9)
                    return
        except BlockingIOError:
            return
        except OSError:
            self.close(source, abort)
            return
        self.turns.append(source)

    def weigh(self, source: "End", size: "int") -> "None":
        """See whether what was read is traffic, on a connection that has had none."""
        if source in self.inner:
            self.moved = self.moved or (self.silence_counts and source.peer.follower is None)
            return
        if self.health is not None:
            source.follower = source.follower or self.health.follower()
            if source.follower.is_probe(bytes(self.buffer[:size])):
                return
        source.counts = source.peer.counts = True

    def is_silence(self, end: "End") -> "bool":
        """Return whether a client keeps it awake that has sent nothing: longer than one that asks for the health would wait."""
        return self.silence_counts and end.peer.follower is None and end.begun + SILENCE < time.monotonic()

    def send_pending(self, source: "End", sink: "End") -> "None":
        """Send what was read before, as much as the other end takes."""
        pending = source.pending
        if pending.__class__ is Pipe:
            pending.empty(sink.socket)
            if not pending:
                self.pipes.append(pending)
                source.pending = None
        else:
            sent = sink.socket.send(pending)
            source.pending = pending[sent:] if sent < len(pending) else None
        self.moved = self.moved or source.counts

    def splice(self, source: "End") -> "Optional[int]":
        """Read into a pipe, which is pending then; return how much that is, None where no pipe can be had.  Raises OSError."""
        pipe = self.pipes.pop()
        if pipe is None:
            try:
                pipe = Pipe()
            except OSError:  # all files are taken
                self.pipes.append(None)
                source.whole = 0
                return None
        try:
            size = pipe.fill(source.socket)
        except OSError:
            self.pipes.append(pipe)
            raise
        if size:
            source.pending = pipe
        else:
            self.pipes.append(pipe)
        if size < SMALL:
            source.whole = 0
        return size

    def finish(self, source: "End") -> "None":
        """Pass the end of a stream on; the other direction goes on (tcp(7), half-close)."""
        source.finished = True
        if source.peer.finished:
            self.close(source, _socket.socket.close)
            return
        try:
            source.peer.socket.shutdown(_socket.SHUT_WR)
        except OSError:
            self.close(source, abort)

    def close(self, end: "End", how: "Callable[[Socket], None]") -> "None":
        """End a connection in both directions."""
        for one in (end, end.peer):
            descriptor = one.socket.fileno()
            del self.ends[descriptor]
            self.inner.discard(one)
            how(one.socket)
            self.loop.closed(descriptor)
            one.is_open = False
            if one.pending.__class__ is Pipe:
                one.pending.close()
                self.pipes.append(None)
            one.pending = None
        self.arriving.left(end.listener)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Callable, Dict, List, Optional, Sequence, Set, Tuple

    from loop import Loop

    from carriers import Tally
    from carriers.ends import End, Listener
    from carriers.health import Health
