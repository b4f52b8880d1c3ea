"""The socket on which the helpers of one service meet.

Knows the socket in the service's runtime directory, on which `run` serves all that ask for it by its name, the door of systemd's
behind which it serves the relay, and who may say what there; hides sockets.  What is said is in words.py.
"""

import _socket
import os
import select
import struct

import words
from names import CONTROL, DOORS, PACKAGE, UNITS

LONGEST = 1024  # bytes of a packet
ACCEPTS = 0x10000  # __SO_ACCEPTCON, include/linux/net.h
FIRST_SOCKET = 3  # SD_LISTEN_FDS_START
SO_PEERCRED_SIZE = struct.calcsize("3i")


class Server:
    """The side of `run`."""

    def __init__(self) -> "None":
        self.listeners = {listener.fileno(): listener for listener in _passed() + [_named()]}
        self.clients: "Dict[int, Socket]" = {}
        self.holders: "Set[int]" = set()  # descriptors of those whose service requires this one
        self.passing: "Set[int]" = set()  # descriptors of those that lead clients to the workload past the relay
        self.last = ""
        self.askers: "Set[int]" = set()  # descriptors of those who asked for the proxy's numbers

    def tell(self, packet: "str", later: "str" = "") -> "None":
        """Tell every helper that listens, and those that come later, who hear ``later`` where that is given."""
        self.last = later or packet
        for client in list(self.clients.values()):
            self._send(client, packet)

    def answer(self, descriptor: "int", packet: "str") -> "None":
        """Tell nobody but the helper that spoke at a descriptor."""
        if descriptor in self.clients:
            self._send(self.clients[descriptor], packet)

    def _send(self, client: "Socket", packet: "str") -> "None":
        try:
            client.send(packet.encode("ascii"), _socket.MSG_DONTWAIT)
        except OSError:  # it has ended, or does not listen; nobody waits for it
            self._drop(client)

    def has_proxy(self) -> "bool":
        """Return whether a proxy listens."""
        return any(_allowed(client) == words.OF_PROXY for client in self.clients.values())

    def ask(self) -> "None":
        """Have the proxy tell its numbers."""
        for descriptor, client in list(self.clients.items()):
            if words.parted(self.last)[0] == words.READY and descriptor not in self.askers | self.holders:
                self._send_soon(client, words.STATUS)

    def _send_soon(self, client: "Socket", packet: "str") -> "None":
        """Send what does not matter to who listens just now."""
        try:
            client.send(packet.encode("ascii", "replace"), _socket.MSG_DONTWAIT)
        except OSError:
            pass

    def _drop(self, client: "Socket") -> "None":
        self.askers.discard(client.fileno())
        self.holders.discard(client.fileno())
        self.passing.discard(client.fileno())
        del self.clients[client.fileno()]
        client.close()

    def close(self) -> "None":
        """End every connection, and before them the listening sockets: who seeks `run` then must not reach this one."""
        for listener in self.listeners.values():
            listener.close()
        for client in self.clients.values():
            client.close()

    def descriptors(self) -> "List[int]":
        """Return the descriptors that become readable when a helper speaks."""
        return list(self.listeners) + list(self.clients)

    def spoken(self) -> "List[int]":
        """Return the descriptors that are readable now."""
        poll = select.poll()
        for descriptor in self.descriptors():
            poll.register(descriptor, select.POLLIN)
        return [descriptor for descriptor, _ in poll.poll(0)]

    def heard(self, descriptor: "int") -> "str":
        """Return what a helper said at a descriptor that is readable, or nothing."""
        if descriptor in self.listeners:
            try:
                accepted, _ = self.listeners[descriptor]._accept()  # type: ignore[attr-defined] # not in typeshed
            except OSError:
                return ""
            client = _packets(accepted)
            if not _allowed(client):
                client.close()
                return ""
            self.clients[accepted] = client
            self._send(client, "{} {}".format(words.GREETING, words.VERSION))
            if self.last and accepted in self.clients:
                self._send(client, words.LEAVING if self.last == words.STOPPING else self.last)
            return ""
        if descriptor not in self.clients:
            return ""  # it was found to have ended meanwhile
        client = self.clients[descriptor]
        try:
            packet = client.recv(LONGEST).decode("utf-8", "replace")
        except OSError:
            packet = ""
        word, _ = words.parted(packet)
        if not packet:
            self._drop(client)
        elif word not in _allowed(client):
            packet = ""
        elif word == words.HOLD:
            self.holders.add(descriptor)
        elif word == words.STATUS:
            self.askers.add(descriptor)
            self.ask()
        elif word == words.NUMBERS:
            for asker in self.askers:
                self._send_soon(self.clients[asker], packet)
        return packet


class Client:
    """The side of all others; raises OSError where `run` is not there."""

    def __init__(self, path: "Optional[str]" = None) -> "None":
        self.socket = _packets()
        try:
            self.socket.connect(path or CONTROL)
        except OSError:
            self.socket.close()
            raise

    def receive(self) -> "List[str]":
        """Return the word of the next packet and what it is about, split at spaces; nothing at the end."""
        try:
            return self.socket.recv(LONGEST).decode("ascii").split()
        except ConnectionError:
            return []

    def tell(self, packet: "str") -> "None":
        """Say something; a `run` that has ended hears nothing, which receive() tells."""
        try:
            self.socket.send(packet.encode("utf-8", "replace")[:LONGEST])
        except OSError:
            pass

    def close(self) -> "None":
        self.socket.close()


def ask_for_life(door: "Optional[str]") -> "Client":
    """Return a connection to `run`, which systemd starts for it, unless it is there: then it is heard by the one that is.

    Where a life ends, the connection waits; systemd ends it once nothing is left of that life, and the next one starts that one.
    A `run` that was started while there was no door, be it one of release 0.1.0, is asked by its name.  Raises OSError.
    """
    if door is not None:
        try:
            return Client(door)
        except OSError:
            pass
    return Client()


def open_door() -> "str":
    """Return which socket the door is just now (its inode), nothing where none listens; a connection would start `run`."""
    path = "{}/{}/socket".format(DOORS, PACKAGE)
    with open("/proc/net/unix") as lines:
        for line in lines:
            words = line.split()  # ..., flags, type, state, inode, path
            if words[-1] == path and int(words[3], 16) & ACCEPTS:
                return words[6]
    return ""


def _passed() -> "List[Socket]":
    """Return the listening sockets that systemd has passed (sd_listen_fds(3))."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    listeners = [_packets(FIRST_SOCKET + number) for number in range(int(os.environ.get("LISTEN_FDS") or 0))]
    for listener in listeners:
        os.set_inheritable(listener.fileno(), False)
        listener.setblocking(False)
    return listeners


def _named() -> "Socket":
    """Return a new socket that listens by the name of the control socket; at any moment one of that name does."""
    listener = _packets()
    try:
        os.unlink(CONTROL + ".new")
    except FileNotFoundError:
        pass
    listener.bind(CONTROL + ".new")
    os.chmod(CONTROL + ".new", 0o666)  # the proxy has no name that a group could hold; what it may say is checked
    listener.listen(16)
    listener.setblocking(False)
    os.rename(CONTROL + ".new", CONTROL)
    return listener


def _packets(descriptor: "Optional[int]" = None) -> "Socket":
    kind = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC
    return _socket.socket(_socket.AF_UNIX, kind) if descriptor is None else _socket.socket(
        _socket.AF_UNIX, kind, 0, descriptor)


def _allowed(client: "Socket") -> "Tuple[str, ...]":
    """Return what a helper may say: root (in tests, who runs them) and the service's own processes are heard, nobody else."""
    pid, user, _ = struct.unpack("3i", client.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, SO_PEERCRED_SIZE))
    if user in (0, os.geteuid()):
        return words.OF_ROOT
    try:
        with open("/proc/{}/cgroup".format(pid)) as lines:
            ours = any(is_of_service(line) for line in lines)
    except OSError:
        ours = False
    return words.OF_PROXY if ours else ()


def is_of_service(line: "str") -> "bool":
    """Return whether a line of a process's cgroup file (cgroups(7)) puts it into the proxy's service."""
    # A user's own manager may call a unit as it likes.
    return line.rstrip("\n").endswith("/{}.service".format(UNITS)) and ":/user.slice/" not in line


TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Dict, List, Optional, Set, Tuple
