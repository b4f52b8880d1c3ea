"""Connections that the kernel carries past the relay (path = "kernel").

Knows which clients the relay has accepted at the listening sockets, and says so to the process that may lead them on
(helpers/kernel.py); what it has moved counts as traffic, and its connections as connections.  Hides the socket between the two.
"""

import _socket
import select
import time

import words
from names import KERNEL_DOOR
from process import say

from carriers import Carrier
from carriers.clients import plain

LONGEST = 1024  # bytes of a packet
AGAIN = 5.0  # seconds after which the same client is told of again
MOST = 4096  # clients that are remembered for that
PATIENCE = 1000  # milliseconds for an answer
IMPOSSIBLE = "path = \"kernel\" is not possible until the next wake ({}); the relay forwards all connections"
RETRY = 5.0  # seconds until it is called again where it has ended


class Passing(Carrier):
    """All connections of one service that pass the relay by."""

    def __init__(self, loop: "Loop") -> "None":
        self.loop = loop
        self.channel: "Optional[Socket]" = None
        self.address: "Optional[Tuple[int, str]]" = None  # of the workload, while clients are led to it
        self.next_call: "Optional[float]" = None
        self.told: "Dict[Tuple[str, str, int], float]" = {}  # clients, and when they were told of
        self.open = 0
        self.moved = False  # since that was asked last
        self.was_told = False  # why there is nobody

    # What it is told of

    def accepted(self, client: "Socket") -> "None":
        """The relay has accepted a client, and may go on doing so."""
        if self.channel is None or client.family == _socket.AF_UNIX:
            return
        try:
            source, here = client.getpeername(), client.getsockname()
        except OSError:  # it has gone again
            return
        known = plain(source[0]), plain(here[0]), here[1]
        now = time.monotonic()
        if known[0] == known[1] or "%" in known[0] or now - self.told.get(known, -AGAIN) < AGAIN:
            return
        if len(self.told) >= MOST:
            self.told.clear()
        try:
            self.channel.send("{} {} {} {}".format(words.ACCEPTED, *known).encode("ascii"))
            self.told[known] = now
        except BlockingIOError:
            pass  # it has much to do; the next connection tells again
        except OSError:
            self.lose()

    # What a service asks

    def heed(self, what: "str") -> "None":
        pass

    def lead_to(self, address: "Optional[Tuple[int, str]]") -> "None":
        if address is None:
            self.address, self.next_call = None, None
            self.hang_up()
        else:
            self.address = address
            if self.channel is None:
                self.call()

    def refuse(self) -> "None":
        pass

    def reset_held(self) -> "None":
        pass

    def end(self) -> "None":
        pass  # `run` has that done

    def await_answer(self) -> "None":
        pass

    def connections(self) -> "int":
        self.moved = self.ask() or self.moved
        return self.open

    def waiting(self) -> "int":
        return 0

    def unfinished(self) -> "int":
        return 0

    def first_held(self) -> "Optional[Socket]":
        return None

    def has_moved(self) -> "bool":
        moved, self.moved = self.moved, False
        return self.ask() or moved

    def due(self) -> "Optional[float]":
        return None if self.next_call is None else max(0.0, self.next_call - time.monotonic())

    def turn(self) -> "None":
        if self.next_call is not None and time.monotonic() >= self.next_call:
            self.call()

    # The other process

    def call(self) -> "None":
        self.next_call = None
        channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        try:
            channel.connect(KERNEL_DOOR)
        except OSError as error:
            channel.close()
            if not self.was_told:
                self.was_told = True
                say(IMPOSSIBLE.format(error.strerror))
            return
        channel.setblocking(False)
        self.channel = channel
        self.told.clear()
        self.loop.watch(channel.fileno(), self.hear)

    def hang_up(self) -> "None":
        if self.channel is not None:
            self.loop.forget(self.channel.fileno())
            self.channel.close()
            self.channel, self.open = None, 0

    def lose(self) -> "None":
        """It has ended; another one may go on."""
        self.hang_up()
        self.next_call = time.monotonic() + RETRY if self.address is not None else None

    def hear(self, _: "int", mask: "int") -> "None":
        self.moved = self.receive() or self.moved

    def receive(self) -> "bool":
        """Return whether something has moved, as the other process says."""
        moved = False
        while self.channel is not None:
            try:
                packet = self.channel.recv(LONGEST)
            except BlockingIOError:
                break
            except OSError:
                packet = b""
            if not packet:
                self.lose()
                break
            told = packet.decode("ascii", "replace").split()
            moved = moved or told[1:2] == ["1"]
            if len(told) == 3 and told[2].isdigit():
                self.open = int(told[2])
        return moved

    def ask(self) -> "bool":
        """Return whether something has moved since this was asked last: where there is no answer, it may have."""
        if self.channel is None:
            return False
        moved = self.receive()
        if self.channel is None:
            return moved
        try:
            self.channel.send(words.STATUS.encode("ascii"))
        except OSError:
            return True
        poll = select.poll()
        poll.register(self.channel.fileno(), select.POLLIN)
        if not poll.poll(PATIENCE):
            return True
        return self.receive() or moved


TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Dict, Optional, Tuple

    from loop import Loop
