"""Clients on their way to the workload: accepted, held, and led to it.

Knows how many may wait at each port and for how long, so that a port whose server takes nobody is no other port's trouble; hides
who of them waits for what.  What becomes of a client that the workload has taken is in streams.py.
"""

import _socket
import errno
import resource
import select
import time
from _collections import OrderedDict  # `collections` loads five more modules

from own_sockets import leads_back

from carriers import ACCEPT, IGNORE, REFUSED, WATCH, Tally
from carriers.clients import plain
from carriers.ends import EVENTS, LAST, READABLE, End, abort, has_bytes

ACCEPTED_AT_ONCE = 256
CONNECTING = 128  # attempts to connect to a port at once: most servers queue no more than that
FULL_RETRY = 0.1  # seconds until it is accepted again where no connection is there whose end would tell that there is room
CONNECT_RETRY = 0.01  # seconds until a refused connection is tried again
CONNECT_PATIENCE = 3.0  # seconds of refusals after which a client is reset: the server inside may restart
ATTEMPT = 3.5  # seconds for one attempt, in which the kernel asks three times; then others have their turn
ANSWER_PATIENCE = 60.0  # seconds without an answer after which a client is reset
GONE_LOOK = 10  # seconds after which a client that sent nothing but its end is asked whether it is there
DOUBT = 0.5  # seconds without an answer after which it is asked whether the workload has another address now
DOUBT_PAUSE = 2.0  # seconds until that is asked again
SPARE_FILES = 64  # descriptors that are no connection's
DATA = "data"  # as in silent.py
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC)


class Arriving:
    """All clients of one service that the workload has not taken yet.

    ``is_allowed`` returns whether an accepted socket may connect at all.  ``on_client(socket)`` is called for each that is held,
    ``on_wanted()`` where it watches for clients and one waits, ``on_doubt()`` where the workload takes nobody at its address,
    ``on_connected(client, end, mask)`` with both ends of a connection and the events that were seen at the workload's.
    ``data_timeout`` is for how many seconds a client is awaited that has sent nothing, where only data wakes, None elsewhere;
    ``health`` knows the requests that wake nothing, where there are some.
    """

    def __init__(self, loop: "Loop", listeners: "Sequence[Listener]", is_allowed: "Optional[Callable[[Socket], bool]]",
                 on_client: "Callable[[Socket], None]", on_wanted: "Callable[[], None]",
                 on_doubt: "Callable[[], None]", on_connected: "Callable[[End, End, int], None]",
                 data_timeout: "Optional[float]" = None, health: "Optional[Health]" = None,
                 tally: "Optional[Tally]" = None) -> "None":
        self.loop = loop
        self.tally = tally or Tally()
        self.listeners = {listener.socket.fileno(): listener for listener in listeners}
        self.is_allowed = is_allowed
        self.on_client = on_client
        self.on_wanted = on_wanted
        self.on_doubt = on_doubt
        self.on_connected = on_connected
        self.on_accepted: "Optional[Callable[[Socket], None]]" = None  # called with each client that may connect
        self.next_doubt = 0.0  # when it may be asked again
        self.address: "Optional[Tuple[int, str]]" = None  # of the workload, as soon as it is ready
        self.spread: "Optional[Spread]" = None  # whose turn it is, where the workload has several addresses
        self.own: "Set[int]" = set()  # ports of the workload at which its address is that of a listener
        self.clients: "Any" = OrderedDict()  # all of them, by their file descriptors, as they came
        self.held: "Any" = {listener: OrderedDict() for listener in listeners}  # those without an attempt, the next one first
        self.refused: "Any" = OrderedDict()  # those that were not let in, and when it is tried again
        self.attempts: "Dict[int, End]" = {}  # ends towards the workload that are not connected yet, as they were begun
        self.heeds = IGNORE
        self.refusing = False
        self.silent: "Optional[Silent]" = None  # those that wake nothing yet, where not every connection does
        if data_timeout is not None or health is not None:
            from carriers import silent  # only who declares it pays for it

            self.silent = silent.Silent(loop, data_timeout, self.keep, lambda client: self.left(client.listener), self.tally,
                                        health)
        self.files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES

    # What is asked

    def heed(self, what: "str") -> "None":
        # Whether a client is allowed, and has sent something, only an accepted socket shows.
        self.heeds = ACCEPT if what == WATCH and (self.is_allowed is not None or self.silent is not None) else what
        for listener in self.listeners.values():
            listener.is_full = False
            self.watch(listener)

    def lead_to(self, address: "Optional[Tuple[int, str]]") -> "None":
        if address != self.address:
            self.address = address
            if self.spread is not None and address is not None:
                self.spread.lead_to(address[1])
            self.hold_again()
            if self.silent is not None:
                self.part_silent(self.silent)
        if address is not None and self.spread is None:
            sockets = [listener.socket for listener in self.listeners.values()]
            self.own = {listener.port for listener in self.listeners.values()
                        if any(leads_back(socket, address[1], listener.port) for socket in sockets)}
        self.lead_on()

    def hold_again(self) -> "None":
        """Hold whom the workload has not taken: another one, or another life of it, may."""
        for end in list(self.attempts.values()):
            self.give_up(end)
        self.refused.clear()
        for held in self.held.values():
            held.clear()
        for descriptor, client in self.clients.items():
            client.begun = client.refused = 0.0
            self.held[client.listener][descriptor] = client

    def part_silent(self, silent: "Silent") -> "None":
        """Lead clients that have sent nothing to a workload that is awake, as others; wait for their data where none is."""
        if self.address is not None:
            for client in silent.take_all():
                self.admit(client)
            return
        for client in [client for client in self.clients.values() if not client.counts]:
            client.counts = silent.kind(client) == DATA
            if not client.counts:
                self.forget(client)
                silent.add(client, self.room())

    def reset(self) -> "None":
        """Reset the connection of every client that the workload has not taken."""
        for client in self.silent.take_all() if self.silent is not None else ():
            self.admit(client)
        for client in list(self.clients.values()):
            self.drop(client)

    def left(self, listener: "Listener") -> "None":
        """A client that the workload had taken has ended."""
        listener.clients -= 1
        if listener.is_full:
            listener.is_full = False
            self.watch(listener)

    def due(self) -> "Optional[float]":
        silent = self.silent.due() if self.silent is not None else None
        due = self.due_of_held()
        return due if silent is None else silent if due is None else min(due, silent)

    def due_of_held(self) -> "Optional[float]":
        if self.refused:
            return CONNECT_RETRY
        if any(listener.is_full and not listener.clients for listener in self.listeners.values()):
            return FULL_RETRY
        if self.attempts:
            begun = next(iter(self.attempts.values())).begun
            return max(0.0, min(begun + ATTEMPT, max(begun + DOUBT, self.next_doubt)) - time.monotonic())
        return None

    def turn(self) -> "None":
        if self.silent is not None:
            self.silent.turn()
        if self.refused or self.attempts:
            self.retry(time.monotonic())
        for listener in self.listeners.values():
            if listener.is_full and not listener.clients:
                listener.is_full = False
                self.watch(listener)

    # Accepted

    def watch(self, listener: "Listener") -> "None":
        """Heed clients at a port where there is room."""
        wanted = IGNORE if listener.is_full else self.heeds
        if wanted != listener.heeds:
            if listener.heeds != IGNORE:
                self.loop.forget(listener.socket.fileno())
            listener.heeds = wanted
            if wanted != IGNORE:
                self.loop.watch(listener.socket.fileno(), self.accept_from if wanted == ACCEPT else self.notice)

    def notice(self, descriptor: "int", _: "int") -> "None":
        self.on_wanted()

    def pause(self, listener: "Listener") -> "None":
        """Accept nobody at a port until a client of it has ended."""
        listener.is_full = True
        self.watch(listener)

    def room(self) -> "int":
        """Return how many clients a port may have: none takes another one's files."""
        return self.files // 2 // len(self.listeners)

    def accept_from(self, descriptor: "int", _: "int") -> "None":
        listener = self.listeners[descriptor]
        for _ in range(ACCEPTED_AT_ONCE):
            if listener.heeds != ACCEPT:  # the last one has changed that
                return
            try:
                accepted, address = listener.socket._accept()  # type: ignore[attr-defined] # not in typeshed
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in NO_ROOM:
                    self.pause(listener)
                    return
                continue  # a client that has gone again (accept(2), "Error handling")
            socket = _socket.socket(listener.socket.family, listener.socket.type, 0, accepted)
            socket.setblocking(False)
            # A client that has reset its connection by now is known by this alone.
            who = plain(address[0]) if isinstance(address, tuple) else ""
            is_refused = self.is_allowed is not None and not self.is_allowed(socket)
            if is_refused:
                self.tally.note(REFUSED, who)
            if is_refused or self.refusing:
                abort(socket)
                continue
            if self.on_accepted is not None:
                self.on_accepted(socket)
            self.hold(End(socket, listener), who)
            if listener.clients > self.room():
                self.pause(listener)
                return

    def hold(self, client: "End", who: "str") -> "None":
        descriptor = client.socket.fileno()
        try:
            self.loop.watch(descriptor, self.happened, EVENTS)
        except OSError:  # the kernel watches no more for this user (epoll(7), max_user_watches)
            self.loop.closed(descriptor)
            abort(client.socket)
            return
        client.listener.clients += 1
        if self.silent is not None:
            client.counts = self.silent.kind(client) == DATA
            if not client.counts and self.address is None:
                self.silent.add(client, self.room(), who)
                return
        self.keep(client)

    def keep(self, client: "End") -> "None":
        """Hold a client for which the workload is awake, or is woken."""
        self.admit(client)
        if client.counts:
            self.on_client(client.socket)
        self.lead_on()

    def admit(self, client: "End") -> "None":
        descriptor = client.socket.fileno()
        self.clients[descriptor] = client
        self.held[client.listener][descriptor] = client
        self.loop.callbacks[descriptor] = self.happened

    def happened(self, descriptor: "int", mask: "int") -> "None":
        """Note what a client has sent; one that has gone, and left no bytes behind, takes no place any more."""
        client = self.clients[descriptor]
        client.readable = client.readable or bool(mask & READABLE)
        if mask & LAST:
            client.last = True
            if mask & select.EPOLLERR or (mask & select.EPOLLHUP and not has_bytes(client.socket)):
                self.drop(client)
            elif client.socket.family != _socket.AF_UNIX and not has_bytes(client.socket):
                ask_whether_there(client.socket)

    def drop(self, client: "End") -> "None":
        """End the connection of a client that the workload has not taken."""
        descriptor = client.socket.fileno()
        if client.peer is not None:
            self.give_up(client.peer)
        self.forget(client)
        self.loop.closed(descriptor)
        abort(client.socket)
        client.is_open = False
        self.left(client.listener)

    def forget(self, client: "End") -> "None":
        descriptor = client.socket.fileno()
        del self.clients[descriptor]
        self.held[client.listener].pop(descriptor, None)
        self.refused.pop(descriptor, None)

    # Led on

    def lead_on(self) -> "None":
        """Connect held clients to the workload, as many at a time as servers queue."""
        for listener, held in self.held.items():
            while held and self.address is not None and listener.attempts < CONNECTING:
                self.connect(held.popitem(last=False)[1], self.address)

    def connect(self, client: "End", address: "Tuple[int, str]") -> "None":
        listener = client.listener
        family, host, port = (*address, listener.port) if self.spread is None else self.spread.next(listener.port)
        if listener.port in self.own:
            self.drop(client)
            return
        now = time.monotonic()
        client.begun = client.begun or now
        try:
            socket = _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        except OSError:  # no file to be had: later
            self.not_connected(client)
            return
        socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, 1)
        socket.setblocking(False)
        end = End(socket, listener)
        code = socket.connect_ex((host, port))
        if code not in (0, errno.EINPROGRESS):
            socket.close()
            self.not_connected(client)
            return
        end.peer, client.peer, end.begun = client, end, now
        self.attempts[socket.fileno()] = end
        listener.attempts += 1
        self.loop.watch(socket.fileno(), self.connected, EVENTS)

    def connected(self, descriptor: "int", mask: "int") -> "None":
        """An attempt has come to its end, good or not."""
        end = self.attempts[descriptor]
        client = end.peer
        if end.socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR):
            self.give_up(end)
            self.not_connected(client)
        else:
            del self.attempts[descriptor]
            end.listener.attempts -= 1
            self.forget(client)
            self.on_connected(client, end, mask)
        self.lead_on()

    def give_up(self, end: "End") -> "None":
        """End an attempt."""
        descriptor = end.socket.fileno()
        del self.attempts[descriptor]
        end.listener.attempts -= 1
        end.peer.peer = None
        self.loop.closed(descriptor)
        end.socket.close()

    def not_connected(self, client: "End") -> "None":
        now = time.monotonic()
        client.refused = client.refused or now
        self.doubt(now)
        if now - client.refused < CONNECT_PATIENCE:
            self.refused[client.socket.fileno()] = (now + CONNECT_RETRY, client)
        else:
            self.drop(client)

    def doubt(self, now: "float") -> "None":
        """Ask whether the workload has another address now."""
        if now >= self.next_doubt and self.address is not None:
            self.next_doubt = now + DOUBT_PAUSE
            self.on_doubt()

    def retry(self, now: "float") -> "None":
        """Give those another turn that were refused a moment ago, and those that got no answer in time."""
        while self.refused:
            descriptor = next(iter(self.refused))
            moment, client = self.refused[descriptor]
            if moment > now:
                break
            del self.refused[descriptor]
            held = self.held[client.listener]
            held[descriptor] = client
            held.move_to_end(descriptor, last=False)
        if self.attempts and next(iter(self.attempts.values())).begun + DOUBT <= now:
            self.doubt(now)
        while self.attempts:
            end = next(iter(self.attempts.values()))
            if end.begun + ATTEMPT > now:
                break
            client = end.peer
            self.give_up(end)
            if now - client.begun < ANSWER_PATIENCE:
                self.held[client.listener][client.socket.fileno()] = client
            else:
                self.drop(client)
        self.lead_on()


def ask_whether_there(socket: "Socket") -> "None":
    """Have the kernel find out whether a client is there that has sent nothing but its end.

    It may await an answer all the same.  If its program closed the connection, its kernel forgets that after a minute (tcp(7),
    tcp_fin_timeout), and answers that it knows nothing of it.
    """
    socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, 1)
    for option in (_socket.TCP_KEEPIDLE, _socket.TCP_KEEPINTVL):
        socket.setsockopt(_socket.IPPROTO_TCP, option, GONE_LOOK)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Any, Callable, Dict, Optional, Sequence, Set, Tuple

    from loop import Loop

    from carriers.ends import Listener
    from carriers.health import Health
    from carriers.silent import Silent
    from carriers.spread import Spread
