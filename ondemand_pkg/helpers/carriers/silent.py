"""Clients that have sent nothing yet, where only data wakes the workload (wake_on = "data").

Knows how long one may be silent, how many may be at a port, and who was closed without a byte; hides how the first byte is
noticed.
"""

import time
from _collections import OrderedDict  # `collections` loads five more modules

from carriers.clients import who_and_since
from carriers.ends import LAST, READABLE, has_bytes

MOST = 1024  # at a port; the one that is silent longest is closed for another one
SHARE = 4  # of those that a port may have at all, at most one in so many is silent


class Silent:
    """All of them of one service.

    ``on_data(client)`` is called for each that has sent something, which is no longer here then, ``on_closed(client)`` for each
    that is closed after ``timeout`` seconds, or goes, without a byte.
    """

    def __init__(self, loop: "Loop", timeout: "float", on_data: "Callable[[End], None]",
                 on_closed: "Callable[[End], None]") -> "None":
        self.loop = loop
        self.timeout = timeout
        self.on_data = on_data
        self.on_closed = on_closed
        self.clients: "Any" = OrderedDict()  # by their file descriptors, with who they are and until when they may be silent
        self.closed = 0  # since that was asked last
        self.last = ""  # who the last one was

    def add(self, client: "End", room: "int", who: "str" = "") -> "None":
        """Wait for the first byte of a client that is watched; a port has room for so many clients."""
        descriptor = client.socket.fileno()
        who = who or who_and_since(client.socket, 0.0)[0]
        self.clients[descriptor] = client, time.monotonic() + self.timeout, who
        self.loop.callbacks[descriptor] = self.happened
        client.listener.silent += 1
        if client.last:  # nothing will come any more
            self.close(client)
        elif client.listener.silent > max(1, min(MOST, room // SHARE)):
            self.close(next(one for one, _, _ in self.clients.values() if one.listener is client.listener))

    def take_all(self) -> "List[End]":
        """Return all of them; they are no longer here."""
        return [self.remove(descriptor) for descriptor in list(self.clients)]

    def remove(self, descriptor: "int") -> "End":
        client: "End" = self.clients.pop(descriptor)[0]
        client.listener.silent -= 1
        return client

    def happened(self, descriptor: "int", mask: "int") -> "None":
        client = self.clients[descriptor][0]
        client.last = client.last or bool(mask & LAST)
        if mask & READABLE and has_bytes(client.socket):
            client.readable = client.counts = True
            self.on_data(self.remove(descriptor))
        elif client.last:
            self.close(client)

    def close(self, client: "End") -> "None":
        """End a connection on which nothing was sent."""
        descriptor = client.socket.fileno()
        self.closed += 1
        self.last = self.clients[descriptor][2]
        self.remove(descriptor)
        self.loop.closed(descriptor)
        client.socket.close()
        client.is_open = False
        self.on_closed(client)

    def due(self) -> "Optional[float]":
        if not self.clients:
            return None
        _, until, _ = next(iter(self.clients.values()))
        return max(0.0, float(until) - time.monotonic())

    def turn(self) -> "None":
        now = time.monotonic()
        while self.clients:
            client, until, _ = next(iter(self.clients.values()))
            if until > now:
                break
            self.close(client)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, List, Optional

    from loop import Loop

    from carriers.ends import End
