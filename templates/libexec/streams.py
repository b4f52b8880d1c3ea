"""The bytes between clients and the container.

Knows how connections are accepted, held, led to the container and carried in both directions; hides epoll(7), of which each
socket is registered once, edge-triggered.  Knows nothing of systemd and of the container's life.
"""

import _socket
import errno
import fcntl
import os
import resource
import select
import time
from _collections import deque  # `collections` loads five more modules

PIECE = 256 * 1024  # bytes that are read at once
BULK = 4  # whole pieces one after the other, after which a connection's bytes are spliced
SMALL = 64 * 1024  # bytes; where no more are there, a copy costs less than two calls
PIPES = 64  # at once: so many that the kernel gives an unprivileged user of this size (pipe(7), pipe-user-pages-soft)
SPLICES = hasattr(os, "splice")  # from Python 3.10 on
F_SETPIPE_SZ = 1031  # include/uapi/linux/fcntl.h; in Python from 3.10 on
TURN = 16  # pieces of one connection before the others have their turn
ACCEPTED_AT_ONCE = 256
CONNECTING = 128  # attempts to connect at once: most servers queue no more than that
FULL_RETRY = 0.1  # seconds until it is accepted again where no connection is there whose end would tell that there is room
CONNECT_RETRY = 0.01  # seconds until a refused connection is tried again
CONNECT_PATIENCE = 3.0  # seconds of refusals after which a client is turned away: the server inside may restart
SPARE_FILES = 64  # descriptors that are no connection's
ABORT = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # struct linger: a close sends RST

READABLE = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
LAST = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET


class End:
    """One end of a connection, and what was read here and could not be sent at the other end yet (bytes, or a Pipe)."""

    __slots__ = ("socket", "port", "peer", "pending", "readable", "last", "finished", "since", "whole")

    def __init__(self, socket, port):
        self.socket = socket
        self.port = port  # of the container
        self.peer = None
        self.pending = None
        self.readable = False
        self.last = False  # everything up to the end of the stream is there to be read
        self.finished = False  # the end of the stream was passed on
        self.since = 0.0  # when the container first refused it
        self.whole = 0  # pieces read here one after the other that were as large as can be


class Pipe:
    """Bytes on their way from one socket to another that this process does not copy (splice(2))."""

    __slots__ = ("reader", "writer", "held")

    def __init__(self):
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.held = 0
        try:
            fcntl.fcntl(self.writer, F_SETPIPE_SZ, PIECE)
        except OSError:
            pass  # it is smaller then

    def __len__(self):
        return self.held

    def fill(self, socket):
        """Take what a socket has; return how much that is, 0 at the end of the stream.  Raises OSError."""
        self.held = os.splice(socket.fileno(), self.writer, PIECE)
        return self.held

    def empty(self, socket):
        """Give a socket as much as it takes.  Raises OSError."""
        self.held -= os.splice(self.reader, socket.fileno(), self.held)

    def close(self):
        os.close(self.reader)
        os.close(self.writer)


class Listener:
    """A listening socket, and the port of the container that it leads to."""

    def __init__(self, socket, port):
        socket.setblocking(False)
        self.socket = socket
        self.port = port


class Relay:
    """All connections of one service.

    ``header`` returns, for an accepted socket, the bytes that go to the container before the client's.
    """

    def __init__(self, listeners, header=None):
        self.epoll = select.epoll()
        self.listeners = {listener.socket.fileno(): listener for listener in listeners}
        self.header = header
        self.address = None  # of the container, as (family, host), as soon as it is ready
        self.ends = {}  # both ends of each connection by their file descriptors
        self.inner = set()  # those of them towards the container
        self.attempts = {}  # ends towards the container that are not connected yet
        self.held = deque()  # clients without an end towards the container
        self.refused = deque()  # (time of the next attempt, client) of clients that were not let in
        self.turns = []  # ends whose turn was over before all of their bytes were carried
        self.watched = {}
        self.accepting = False
        self.full = False  # as many connections as there may be files
        self.files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES
        self.moved = False  # whether bytes have moved since somebody set this to False
        self.buffer = memoryview(bytearray(PIECE))
        self.pipes = [None] * PIPES if SPLICES else []  # those to be had; None is one that was not made yet

    # What happens

    def watch(self, descriptor, callback):
        """Call back whenever a descriptor that is not a client's becomes readable."""
        self.watched[descriptor] = callback
        self.epoll.register(descriptor, select.EPOLLIN)

    def forget(self, descriptor):
        del self.watched[descriptor]
        self.epoll.unregister(descriptor)

    def accept(self, wanted):
        """Begin or cease to accept clients; who is not accepted waits in the kernel."""
        self.full = False
        if wanted != self.accepting:
            self.accepting = wanted
            for descriptor in self.listeners:
                if wanted:
                    self.epoll.register(descriptor, select.EPOLLIN)
                else:
                    self.epoll.unregister(descriptor)

    def step(self, timeout):
        """Wait at most ``timeout`` seconds (-1: for ever) for something to happen, and see to it."""
        if self.turns:
            timeout = 0
        elif self.refused:
            timeout = CONNECT_RETRY if timeout < 0 else min(timeout, CONNECT_RETRY)
        alone = self.full and not (self.ends or self.held or self.attempts or self.refused)
        if alone:
            timeout = FULL_RETRY if timeout < 0 else min(timeout, FULL_RETRY)
        turns, self.turns = self.turns, []
        for end in turns:
            if end.socket is not None:
                self.carry(end)
        for descriptor, mask in self.epoll.poll(timeout, 1024):
            end = self.ends.get(descriptor)
            if end is not None:
                if mask & READABLE:
                    end.readable = True
                    if mask & LAST:
                        end.last = True
                    self.carry(end)
                if mask & select.EPOLLOUT and end.socket is not None and end.peer.pending is not None:
                    self.carry(end.peer)
            elif descriptor in self.attempts:
                self.connected(descriptor, mask)
            elif descriptor in self.listeners:
                self.accept_from(self.listeners[descriptor])
            elif descriptor in self.watched:
                self.watched[descriptor]()
        if self.refused:
            self.retry()
        if alone:
            self.resume()

    # From client to container

    def accept_from(self, listener):
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                descriptor, _ = listener.socket._accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self.pause()
                    return
                continue  # a client that has gone again (accept(2), "Error handling")
            client = _socket.socket(listener.socket.family, listener.socket.type, 0, descriptor)
            client.setblocking(False)
            self.take(End(client, listener.port))
            if len(self.ends) + 2 * (len(self.held) + len(self.attempts) + len(self.refused)) > self.files:
                self.pause()
                return

    def pause(self):
        """Accept nobody until a connection has ended."""
        self.accept(False)
        self.full = True

    def take(self, client):
        """Lead an accepted client on, or hold it; for subclasses to decide otherwise."""
        self.held.append(client)
        self.lead_on()

    def lead_on(self):
        """Connect held clients to the container, as many at a time as servers queue."""
        while self.held and self.address is not None and len(self.attempts) < CONNECTING:
            self.connect(self.held.popleft())

    def connect(self, client):
        family, host = self.address
        try:
            socket = _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        except OSError:  # no file to be had: later
            self.not_connected(client)
            return
        socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, 1)
        socket.setblocking(False)
        end = End(socket, client.port)
        end.peer = client
        code = socket.connect_ex((host, client.port))
        if code in (0, errno.EINPROGRESS):
            self.attempts[socket.fileno()] = end
            self.epoll.register(socket.fileno(), EVENTS)
        else:
            socket.close()
            self.not_connected(client)

    def connected(self, descriptor, mask):
        """An attempt has come to its end, good or not."""
        end = self.attempts.pop(descriptor)
        client = end.peer
        if end.socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR):
            self.epoll.unregister(descriptor)
            end.socket.close()
            self.not_connected(client)
        else:
            client.peer = end
            if self.header is not None:
                client.pending = memoryview(self.header(client.socket))
            self.inner.add(end)
            self.ends[descriptor] = end
            self.ends[client.socket.fileno()] = client
            self.epoll.register(client.socket.fileno(), EVENTS)
            if client.pending is not None:
                self.carry(client)
            if mask & READABLE and end.socket is not None:  # a server that speaks first
                end.readable = True
                end.last = bool(mask & LAST)
                self.carry(end)
        self.lead_on()

    def not_connected(self, client):
        now = time.monotonic()
        client.since = client.since or now
        if now - client.since < CONNECT_PATIENCE:
            self.refused.append((now + CONNECT_RETRY, client))
        else:
            abort(client.socket)
            self.resume()

    def retry(self):
        now = time.monotonic()
        while self.refused and self.refused[0][0] <= now:
            self.held.appendleft(self.refused.popleft()[1])
        self.lead_on()

    # Both ways

    def carry(self, source):
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
                spliced = source.whole >= BULK and bool(self.pipes)
                try:
                    size = self.splice(source) if spliced else source.socket.recv_into(self.buffer)
                except BlockingIOError:
                    source.readable = False
                    return
                if spliced:
                    if size == 0:
                        self.finish(source)
                        return
                    continue
                if not size:
                    self.finish(source)
                    return
                self.moved = True
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

    def send_pending(self, source, sink):
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
        self.moved = True

    def splice(self, source):
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

    def finish(self, source):
        """Pass the end of a stream on; the other direction goes on (tcp(7), half-close)."""
        source.finished = True
        if source.peer.finished:
            self.close(source, _socket.socket.close)
            return
        try:
            source.peer.socket.shutdown(_socket.SHUT_WR)
        except OSError:
            self.close(source, abort)

    def close(self, end, how):
        """End a connection in both directions."""
        for one in (end, end.peer):
            del self.ends[one.socket.fileno()]
            self.inner.discard(one)
            how(one.socket)
            one.socket = None
            if one.pending.__class__ is Pipe:
                one.pending.close()
                self.pipes.append(None)
            one.pending = None
        self.resume()

    def resume(self):
        if self.full:
            self.accept(True)

    def last_words(self, seconds):
        """Carry for at most so long what the container has sent before it ended; then end all connections."""
        deadline = time.monotonic() + seconds
        while any(not end.finished for end in self.inner) and time.monotonic() < deadline:
            self.step(max(0.0, deadline - time.monotonic()))
        for end in list(self.inner):
            self.close(end, _socket.socket.close if end.finished else abort)

    def turn_away(self):
        """Close the connections of all clients that are not led on."""
        for client in self.held:
            abort(client.socket)
        self.held.clear()
        while self.refused:
            abort(self.refused.popleft()[1].socket)


def abort(socket):
    """Close a connection so that the other side learns that not everything came over."""
    try:
        socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, ABORT)
    except OSError:
        pass
    socket.close()
