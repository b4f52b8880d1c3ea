"""Datagrams between clients and the workload.

Knows sessions: what a client sends goes to the workload by a socket of the client's own, and what comes back leaves from the
address that was asked; hides struct in_pktinfo.  Every bound is here: a client that sends too much takes nobody's place.
"""

import _socket
import time
from _collections import OrderedDict  # `collections` loads five more modules

from own_sockets import leads_back

from carriers import ACCEPT, FEW, HOLD, IGNORE, REFUSED, WATCH, Carrier, Tally, clients

LARGEST = 65536  # bytes of a datagram, and one more
AT_ONCE = 256  # datagrams that are read at one socket before the others have their turn
MOST_HELD = 64  # datagrams of one client, while the workload starts
MOST_BYTES = 1024 * 1024  # of all that are held
MOST_SESSIONS = 20000  # the one whose client was silent longest ends for another one
REPLAYED_AT_ONCE = 64  # datagrams: a server's own queue may hold no more than some two hundred
REPLAY_PAUSE = 0.002  # seconds in which it may read them
LEAST_PAUSE = 0.5  # seconds between two looks for sessions that are over
DOUBT_PAUSE = 2.0  # seconds until it is asked again whether the workload has another address
IP_PKTINFO, IPV6_RECVPKTINFO, IPV6_PKTINFO = 8, 49, 50  # include/uapi/linux/in.h, in6.h
# For each family the message that says at which address a datagram came, and the option that asks for it.
NOTES = {_socket.AF_INET: (_socket.IPPROTO_IP, IP_PKTINFO, IP_PKTINFO),
         _socket.AF_INET6: (_socket.IPPROTO_IPV6, IPV6_PKTINFO, IPV6_RECVPKTINFO)}
ROOM = 64  # bytes for that message


class Session:
    """A client, by its address and port, at an address that it has asked."""

    __slots__ = ("key", "listener", "peer", "note", "socket", "held", "heard", "counts")

    def __init__(self, key: "Key", listener: "Listener", note: "List[Tuple[int, int, bytes]]") -> "None":
        self.key = key
        self.listener = listener
        self.peer = key[1]
        self.note = note  # for sendmsg(2): from which address an answer leaves
        self.socket: "Optional[Socket]" = None  # towards the workload
        self.held: "List[bytes]" = []  # datagrams that the workload has not been sent yet
        self.heard = 0.0  # when the client last sent something
        self.counts = True  # it wakes the workload, and is traffic; not so, where several datagrams wake, until so many have come


class Datagrams(Carrier):
    """All sessions of one service.

    ``is_allowed`` returns whether a client of an address is heard at all; a session ends after ``timeout`` seconds in which its
    client was silent.  ``few`` knows how many datagrams of a client wake, where one does not.
    """

    def __init__(self, loop: "Loop", listeners: "Sequence[Listener]", timeout: "float",
                 is_allowed: "Optional[Callable[[str], bool]]" = None, tally: "Optional[Tally]" = None,
                 few: "Optional[Few]" = None) -> "None":
        self.loop = loop
        self.tally = tally or Tally()
        self.starts = False  # the workload does, for whoever is held
        self.few = few  # what knows the clients that have sent too few to wake it, where one datagram is not enough
        self.listeners = {listener.socket.fileno(): listener for listener in listeners}
        self.timeout = timeout
        self.is_allowed = is_allowed
        self.address: "Optional[Tuple[int, str]]" = None  # of the workload, as soon as it is ready
        self.own: "Set[int]" = set()  # ports of the workload at which its address is that of a listener
        self.sessions: "Any" = OrderedDict()  # by their keys, the one whose client was silent longest first
        self.holding: "Any" = OrderedDict()  # those with datagrams that are held, as they came
        self.sockets: "Dict[int, Session]" = {}  # those that have a socket, by its descriptor
        self.size = 0  # bytes that are held
        self.dropped = 0
        self.refusing = False
        self.awaits_answer = False
        self.moved = False  # whether a client has sent something since that was asked last
        self.next_doubt = 0.0
        self.buffer = bytearray(LARGEST)
        self.view = memoryview(self.buffer)
        for listener in listeners:
            level, _, option = NOTES[listener.socket.family]
            listener.socket.setsockopt(level, option, 1)

    # What a service asks

    def heed(self, what: "str") -> "None":
        self.starts = what == HOLD
        # Whether a client is allowed, and how much it sends, only its datagrams show.
        watches = self.notice if self.is_allowed is None and self.few is None else self.read
        callback = {ACCEPT: self.read, HOLD: self.read, WATCH: watches}.get(what)
        for descriptor, listener in self.listeners.items():
            if listener.heeds != IGNORE:
                self.loop.forget(descriptor)
            listener.heeds = what
            if callback is not None:
                self.loop.watch(descriptor, callback)

    def lead_to(self, address: "Optional[Tuple[int, str]]") -> "None":
        if address is not None:
            if address != self.address:
                for session in list(self.sockets.values()):
                    self.close(session)  # of another address, or of another life
            sockets = [listener.socket for listener in self.listeners.values()]
            self.own = {listener.port for listener in self.listeners.values()
                        if any(leads_back(socket, address[1], listener.port) for socket in sockets)}
        self.address = address

    def refuse(self) -> "None":
        self.refusing = True

    def reset_held(self) -> "None":
        for session in list(self.holding.values()):
            self.close(session)

    def end(self) -> "None":
        for descriptor, session in list(self.sockets.items()):
            self.answer(descriptor, 0)  # its last words
            self.close(session)

    def await_answer(self) -> "None":
        self.awaits_answer = True

    def connections(self) -> "int":
        return len(self.sockets)

    def keeping(self) -> "int":
        return len(self.sockets) if self.few is None else sum(session.counts for session in self.sockets.values())

    def waiting(self) -> "int":
        return len(self.holding) - self.silent()

    def silent(self) -> "int":
        return 0 if self.few is None else sum(not session.counts for session in self.holding.values())

    def unfinished(self) -> "int":
        return 0  # what a workload that has ended sent last is there to be read

    def first_held(self) -> "Optional[Session]":
        return next((session for session in self.holding.values() if session.counts), None)

    def has_moved(self) -> "bool":
        moved, self.moved = self.moved, False
        return moved

    def lost(self) -> "int":
        return self.dropped

    def due(self) -> "Optional[float]":
        if self.holding and self.address is not None:
            return REPLAY_PAUSE
        if self.few is not None and self.address is None and not self.starts and self.few.moments:
            return self.few.due()
        if not self.sessions:
            return None
        first = next(iter(self.sessions.values()))
        return float(max(LEAST_PAUSE, first.heard + self.timeout - time.monotonic()))

    def turn(self) -> "None":
        if self.holding and self.address is not None:
            self.replay()
        if self.few is not None and not self.starts:
            self.drop_few(self.few)
        if self.sessions:
            over = time.monotonic() - self.timeout
            for session in list(self.sessions.values()) if self.is_over(over) else ():
                if session.heard > over:
                    break
                if not session.held:
                    self.close(session)

    def is_over(self, moment: "float") -> "bool":
        """Return whether the client that is silent longest has sent nothing since a moment."""
        return bool(next(iter(self.sessions.values())).heard <= moment)

    def make_room(self, few: "Few", size: "int") -> "None":
        """Let nobody who has sent too few keep another client's datagrams from being held."""
        for session in few.oldest() if self.size + size > MOST_BYTES else ():
            self.tally.note(FEW, clients.plain(str(session.peer[0])))
            self.close(session)
            if self.size + size <= MOST_BYTES:
                break

    def drop_few(self, few: "Few") -> "None":
        """Forget clients that have sent too few to wake what sleeps."""
        for session in few.over():
            if self.address is None and session.held:
                self.tally.note(FEW, clients.plain(str(session.peer[0])))
                self.close(session)

    # From clients

    def notice(self, descriptor: "int", _: "int") -> "None":
        self.on_wanted()

    def read(self, descriptor: "int", _: "int") -> "None":
        """Take what has come at a socket."""
        listener = self.listeners[descriptor]
        socket = listener.socket
        level, kind, _ = NOTES[socket.family]
        for _ in range(AT_ONCE):
            try:
                size, notes, _, peer = socket.recvmsg_into([self.buffer], ROOM)
            except OSError:  # nothing is left, or nothing can be read for want of memory
                return
            note = [one for one in notes if one[0] == level and one[1] == kind]
            self.take(listener, (descriptor, peer, note[0][2] if note else b""), note, size)

    def take(self, listener: "Listener", key: "Key", note: "List[Tuple[int, int, bytes]]", size: "int") -> "None":
        """Lead the datagram in the buffer to the workload, or hold it."""
        if self.few is not None and self.address is None and not self.starts:
            self.make_room(self.few, size)
        session = self.sessions.get(key)
        if session is None:
            if self.is_allowed is not None and not self.is_allowed(key[1][0]):
                self.tally.note(REFUSED, clients.plain(key[1][0]))
                return
            is_full = self.address is None and self.size + size > MOST_BYTES
            if self.refusing or is_full or listener.port in self.own:
                self.dropped += 1
                return
            session = self.begin(Session(key, listener, note))
        else:
            self.sessions.move_to_end(key)
        session.heard = time.monotonic()
        wakes = not session.counts and self.few is not None and self.few.is_enough(session)
        session.counts = session.counts or wakes
        self.moved = self.moved or session.counts
        if self.address is None or session.held:
            self.hold(session, size)
        else:
            self.send(session, self.view[:size])
        if wakes:
            self.on_client(session)

    def begin(self, session: "Session") -> "Session":
        if len(self.sessions) >= MOST_SESSIONS:
            self.close(next(iter(self.sessions.values())))
        self.sessions[session.key] = session
        if self.few is None:
            self.on_client(session)
        session.counts = self.few is None
        return session

    def hold(self, session: "Session", size: "int") -> "None":
        """Keep the datagram in the buffer for a workload that is not ready yet."""
        if not session.counts and not self.starts and self.few is not None and len(session.held) >= self.few.count:
            self.size -= len(session.held.pop(0))  # too old to be one of those that wake
            self.dropped += 1
        if len(session.held) >= MOST_HELD or self.size + size > MOST_BYTES:
            self.dropped += 1
            return
        session.held.append(bytes(self.view[:size]))
        self.size += size
        self.holding[session.key] = session

    def replay(self) -> "None":
        """Send the workload some of what was held, each client's in its order."""
        for session in list(self.holding.values())[:REPLAYED_AT_ONCE]:
            data = session.held.pop(0)
            self.size -= len(data)
            if not session.held:
                del self.holding[session.key]
            self.send(session, data)

    def send(self, session: "Session", data: "Union[bytes, memoryview]") -> "None":
        try:
            if session.socket is None:
                session.socket = self.connected(session)
            session.socket.send(data)
        except BlockingIOError:
            self.dropped += 1
        except OSError:
            self.dropped += 1
            self.fail(session)

    def connected(self, session: "Session") -> "Socket":
        """Return a new socket towards the workload.  Raises OSError."""
        assert self.address is not None
        family, host = self.address
        kind = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        try:
            socket = _socket.socket(family, kind)
        except OSError:  # no file is left
            if not self.sockets:
                raise
            self.close(next(one for one in self.sessions.values() if one.socket is not None))
            socket = _socket.socket(family, kind)
        try:
            socket.connect((host, session.listener.port))
            self.loop.watch(socket.fileno(), self.answer)
        except OSError:
            socket.close()
            raise
        self.sockets[socket.fileno()] = session
        return socket

    # From the workload

    def answer(self, descriptor: "int", _: "int") -> "None":
        """Send a client what the workload has sent it."""
        session = self.sockets[descriptor]
        socket, view = session.socket, self.view
        assert socket is not None
        for _ in range(AT_ONCE):
            try:
                size = socket.recv_into(self.buffer)
            except BlockingIOError:
                return
            except OSError:  # nothing listens there: the refusal of what was sent before
                self.fail(session)
                return
            try:
                session.listener.socket.sendmsg([view[:size]], session.note, 0, session.peer)
            except OSError:  # no room, or no way back
                self.dropped += 1
            if self.awaits_answer:
                self.awaits_answer = False
                self.on_answer()

    # The end

    def fail(self, session: "Session") -> "None":
        """The workload takes nothing at this address."""
        self.close(session)
        moment = time.monotonic()
        if moment >= self.next_doubt:
            self.next_doubt = moment + DOUBT_PAUSE
            self.on_doubt()

    def close(self, session: "Session") -> "None":
        if self.sessions.pop(session.key, None) is None:
            return
        if self.holding.pop(session.key, None) is not None:
            self.dropped += len(session.held)
            self.size -= sum(map(len, session.held))
        if self.few is not None:
            self.few.forget(session)
        if session.socket is not None:
            descriptor = session.socket.fileno()
            del self.sockets[descriptor]
            session.socket.close()
            self.loop.closed(descriptor)


def who_by(of_streams: "Callable[[Socket, float], Tuple[str, float]]") -> "Callable[[Held, float], Tuple[str, float]]":
    """Return what tells who a client is, and since when it waits; of datagrams that is not known, a default stands for it."""

    def who_and_since(client: "Held", otherwise: "float") -> "Tuple[str, float]":
        if not isinstance(client, Session):
            return of_streams(client, otherwise)
        return clients.plain(str(client.peer[0])), otherwise

    return who_and_since


TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple, Union

    from loop import Loop

    from carriers import Held
    from carriers.ends import Listener
    from carriers.few import Few

    Key = Tuple[int, Tuple[Any, ...], bytes]  # the socket, the client, and at which address it has come
