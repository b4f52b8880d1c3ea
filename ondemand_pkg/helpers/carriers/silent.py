"""Clients that wake nothing, or nothing yet: they have sent nothing (wake_on = "data"), or ask for the health alone (health).

Knows how long one may be silent, how many may be at a port, and who was closed without a byte or answered here; hides how the
first byte is noticed.
"""

import _socket
import time
from _collections import OrderedDict  # `collections` loads five more modules

from carriers import CLOSED, PROBED
from carriers.clients import who_and_since
from carriers.ends import LAST, READABLE, has_bytes

MOST = 1024  # at a port; the one that is silent longest is closed for another one
SHARE = 4  # of those that a port may have at all, at most one in so many is silent
LINE_PATIENCE = 1.0  # seconds for a request line that has begun, or a client that wakes by its connection; then it wakes
LEAVE_PATIENCE = 2.0  # seconds in which a client that has its answer may end its side
MOST_UNREAD = 65536  # bytes that it may send meanwhile
NOTHING, PART, PROBE, DATA = "nothing", "part", "probe", "data"  # as in health.py, which only who declares it has


class Silent:
    """All of them of one service.

    ``on_data(client)`` is called for each that has sent something, or has waited long enough where a connection wakes, which is
    no longer here then, ``on_closed(client)`` for each that is closed without.  ``timeout`` is in seconds, None where a
    connection wakes.
    """

    def __init__(self, loop: "Loop", timeout: "Optional[float]", on_data: "Callable[[End], None]",
                 on_closed: "Callable[[End], None]", tally: "Tally", health: "Optional[Health]" = None) -> "None":
        self.loop = loop
        self.is_by_data = timeout is not None
        self.timeout = LINE_PATIENCE if timeout is None else timeout
        self.on_data = on_data
        self.on_closed = on_closed
        self.tally = tally
        self.health = health
        # By their file descriptors, with until when they may be here, and who they are, or how much they may still send.
        self.clients: "Any" = OrderedDict()  # those that have sent nothing
        self.begun: "Any" = OrderedDict()  # those of whose request line a part has come
        self.leaving: "Any" = OrderedDict()  # those that have their answer

    def __len__(self) -> "int":
        return len(self.clients) + len(self.begun) + len(self.leaving)

    def kind(self, client: "End") -> "str":
        """Return what the first bytes of a client are."""
        if self.health is None:
            return DATA if has_bytes(client.socket) else NOTHING
        return self.health.kind(self.peek(client, self.health))

    def peek(self, client: "End", health: "Health") -> "bytes":
        try:
            return client.socket.recv(health.longest, _socket.MSG_PEEK | _socket.MSG_DONTWAIT)
        except OSError:
            return b""

    def add(self, client: "End", room: "int", who: "str" = "") -> "None":
        """Wait for the first bytes of a client that is watched; a port has room for so many clients."""
        descriptor = client.socket.fileno()
        who = who or who_and_since(client.socket, 0.0)[0]
        self.clients[descriptor] = client, time.monotonic() + self.timeout, who
        self.loop.callbacks[descriptor] = self.happened
        client.listener.silent += 1
        self.see(client)
        if client.listener.silent > max(1, min(MOST, room // SHARE)):
            self.give_way(client.listener)

    def give_way(self, listener: "Listener") -> "None":
        """End, or wake for, the one that is here longest."""
        for client, _, _ in self.leaving.values():
            if client.listener is listener:
                self.end(client)
                return
        client = next(one for kind in (self.clients, self.begun) for one, _, _ in kind.values() if one.listener is listener)
        if self.is_by_data and client.socket.fileno() in self.clients:
            self.close(client)
        else:
            self.on_data(self.awake(client))

    def take_all(self) -> "List[End]":
        """Return all of them but those that have their answer; they are no longer here."""
        return [self.remove(descriptor) for descriptor in [*self.clients, *self.begun]]

    def remove(self, descriptor: "int") -> "End":
        kind = next(one for one in (self.clients, self.begun, self.leaving) if descriptor in one)
        client: "End" = kind.pop(descriptor)[0]
        client.listener.silent -= 1
        return client

    def awake(self, client: "End") -> "End":
        """Return a client that wakes, which is no longer here."""
        client.readable = client.counts = True
        return self.remove(client.socket.fileno())

    def happened(self, descriptor: "int", mask: "int") -> "None":
        client = (self.clients.get(descriptor) or self.begun[descriptor])[0]
        client.last = client.last or bool(mask & LAST)
        if mask & READABLE:
            self.see(client)

    def see(self, client: "End") -> "None":
        """Do with a client as its first bytes have it, and their end."""
        kind = self.kind(client)
        descriptor = client.socket.fileno()
        if kind == PROBE:
            self.answer(client)
        elif kind == NOTHING and not client.last:
            pass
        elif kind == NOTHING and (self.is_by_data or not is_there(client.socket)):
            self.close(client)
        elif kind == PART and not client.last:
            if descriptor in self.clients:
                _, _, who = self.clients.pop(descriptor)
                self.begun[descriptor] = client, time.monotonic() + LINE_PATIENCE, who
        else:
            self.on_data(self.awake(client))

    def answer(self, client: "End") -> "None":
        """Answer a probe, and let the client go."""
        assert self.health is not None
        descriptor = client.socket.fileno()
        kind = self.clients if descriptor in self.clients else self.begun
        _, _, who = kind.pop(descriptor)
        self.leaving[descriptor] = client, time.monotonic() + LEAVE_PATIENCE, MOST_UNREAD
        self.tally.note(PROBED, who)
        self.loop.callbacks[descriptor] = self.leaves
        try:
            client.socket.send(self.health.answer(self.peek(client, self.health)))
            client.socket.shutdown(_socket.SHUT_WR)
        except OSError:  # it has gone already
            self.end(client)
            return
        self.leaves(descriptor, 0)

    def leaves(self, descriptor: "int", _: "int") -> "None":
        """Read what a client sends after its request: unread bytes would cost it the answer (RFC 9112, 9.6)."""
        client, until, left = self.leaving[descriptor]
        try:
            while left > 0:
                size = len(client.socket.recv(4096))
                if not size:
                    break
                left -= size
        except BlockingIOError:
            self.leaving[descriptor] = client, until, left
            return
        except OSError:
            pass
        self.end(client)

    def close(self, client: "End") -> "None":
        """End a connection on which nothing was sent."""
        self.tally.note(CLOSED, self.clients[client.socket.fileno()][2])
        self.end(client)

    def end(self, client: "End") -> "None":
        descriptor = client.socket.fileno()
        self.remove(descriptor)
        self.loop.closed(descriptor)
        client.socket.close()
        client.is_open = False
        self.on_closed(client)

    def due(self) -> "Optional[float]":
        firsts = [next(iter(kind.values()))[1] for kind in (self.clients, self.begun, self.leaving) if kind]
        return max(0.0, float(min(firsts)) - time.monotonic()) if firsts else None

    def turn(self) -> "None":
        now = time.monotonic()
        for kind in (self.clients, self.begun, self.leaving):
            while kind:
                client, until, _ = next(iter(kind.values()))
                if until > now:
                    break
                if kind is self.leaving:
                    self.end(client)
                elif kind is self.clients and self.is_by_data:
                    self.close(client)
                else:
                    self.on_data(self.awake(client))


def is_there(socket: "Socket") -> "bool":
    """Return whether a client that has sent its end may still read: it has not reset the connection."""
    try:
        socket.getpeername()
        return not socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
    except OSError:
        return False


TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Any, Callable, List, Optional

    from loop import Loop

    from carriers import Tally
    from carriers.ends import End, Listener
    from carriers.health import Health
