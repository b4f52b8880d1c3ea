"""How the helpers of one service tell each other of its container.

Knows the socket in the service's runtime directory, on which `run` serves waitport and the proxy, and the words that are
spoken there; hides sockets and who may say what.

From `run`, one packet each: "started ADDRESS[,ADDRESS] PID", the engine has started the container; "ready ADDRESS", clients
may come (told again where it was asked to sleep and must not); "paused", it sleeps until somebody wants it; "renewing", its
service is started anew for who waits; "stopping", it was asked to stop, which who comes later hears as "leaving"; "failed
COUNT", so many starts in a row have failed, this one too.  The end of the connection is the end of the container.
To `run`: "listens", with the address where there are two, or "failed REASON" after its time is up, from waitport; "idle", or
"wake" while it is paused, from the proxy; "hold" from the `run` of another service, which requires this one for as long as its
connection lasts.
Of a wake, from the proxy: "client WHO CONNECTED", who it is that woke, and when it was connected; "answered WHEN", the first byte
of the container went to a client (record.py).  Root may ask for "status", which `run` passes to the proxy; its answer, "numbers
IDLE-LEFT CONNECTIONS" (seconds, or "-" for ever), is passed to who asked.
"""

import _socket
import os
import struct
import time

from names import CONTROL, END, OVER, UNITS

LONGEST = 1024  # bytes of a packet
CLOCK_BOOTTIME = 7  # the clock of the 22nd field of proc_pid_stat(5); Python names it from 3.7 on
SO_PEERCRED_SIZE = struct.calcsize("3i")


class Server:
    """The side of `run`."""

    def __init__(self):
        try:
            os.unlink(CONTROL)
        except FileNotFoundError:
            pass
        self.listener = _packets()
        self.listener.bind(CONTROL)
        os.chmod(CONTROL, 0o666)  # the proxy has no name that a group could hold; what it may say is checked
        self.listener.listen(16)
        self.listener.setblocking(False)
        self.clients = {}
        self.holders = set()  # descriptors of those whose service requires this one
        self.last = ""
        self.askers = set()  # descriptors of those who asked for the proxy's numbers

    def tell(self, words):
        """Tell every helper that listens, and those that come later."""
        self.last = words
        for client in list(self.clients.values()):
            self._send(client, words)

    def answer(self, descriptor, words):
        """Tell nobody but the helper that spoke at a descriptor."""
        if descriptor in self.clients:
            self._send(self.clients[descriptor], words)

    def _send(self, client, words):
        try:
            client.send(words.encode("ascii"))
        except OSError:  # it has ended
            self._drop(client)

    def ask(self):
        """Have the proxy tell its numbers."""
        for descriptor, client in list(self.clients.items()):
            if self.last.startswith("ready") and descriptor not in self.askers | self.holders:
                self._send_soon(client, "status")

    def _send_soon(self, client, words):
        """Send what does not matter to who listens just now."""
        try:
            client.send(words.encode("ascii", "replace"), _socket.MSG_DONTWAIT)
        except OSError:
            pass

    def _drop(self, client):
        self.askers.discard(client.fileno())
        self.holders.discard(client.fileno())
        del self.clients[client.fileno()]
        client.close()

    def descriptors(self):
        """Return the descriptors that become readable when a helper speaks."""
        return [self.listener.fileno()] + list(self.clients)

    def heard(self, descriptor):
        """Return what a helper said at a descriptor that is readable, or nothing."""
        if descriptor == self.listener.fileno():
            try:
                accepted, _ = self.listener._accept()
            except OSError:
                return ""
            client = _packets(accepted)
            if not _allowed(client):
                client.close()
                return ""
            self.clients[accepted] = client
            if self.last:
                self._send(client, "leaving" if self.last == "stopping" else self.last)
            return ""
        client = self.clients.get(descriptor)
        if client is None:
            return ""  # it was found to have ended meanwhile
        try:
            words = client.recv(LONGEST).decode("utf-8", "replace")
        except OSError:
            words = ""
        if not words:
            self._drop(client)
        elif words.partition(" ")[0] not in _allowed(client):
            words = ""
        elif words == "hold":
            self.holders.add(descriptor)
        elif words == "status":
            self.askers.add(descriptor)
            self.ask()
        elif words.startswith("numbers "):
            for asker in self.askers:
                self._send_soon(self.clients[asker], words)
        return words


def tell_end(failures):
    """Leave behind when the container has ended, and how many starts in a row have failed."""
    with open(END + ".new", "w") as stream:
        stream.write("{} {}\n".format(failures, time.clock_gettime(CLOCK_BOOTTIME)))
    os.rename(END + ".new", END)


def last_end(path=None):
    """Return how many starts in a row had failed when the container last ended, and when that was (CLOCK_BOOTTIME, seconds)."""
    try:
        with open(path or END) as stream:
            count, when = stream.read().split()
        return int(count), float(when)
    except (FileNotFoundError, ValueError):
        return 0, 0.0


def tell_over():
    """Leave behind that nothing is left of the service's life, so that the next one may begin."""
    with open(OVER, "w"):
        os.utime(OVER)


def is_over():
    """Return whether nothing is left of the service's last life."""
    try:
        return os.stat(OVER).st_mtime_ns >= os.stat(END).st_mtime_ns
    except FileNotFoundError:
        return False


def begin_of_process():
    """Return when this process was made (CLOCK_BOOTTIME, seconds), at most a clock tick too early."""
    with open("/proc/self/stat", "rb") as stat:
        return int(stat.read().rsplit(b")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")


class Client:
    """The side of all others; raises OSError where `run` is not there."""

    def __init__(self, path=None):
        self.socket = _packets()
        try:
            self.socket.connect(path or CONTROL)
        except OSError:
            self.socket.close()
            raise

    def receive(self):
        """Return the words of the next packet; none at the end."""
        try:
            return self.socket.recv(LONGEST).decode("ascii").split()
        except ConnectionError:
            return []

    def tell(self, words):
        try:
            self.socket.send(words.encode("utf-8", "replace")[:LONGEST])
        except OSError:
            pass  # `run` has ended, which receive() tells

    def close(self):
        self.socket.close()


def _packets(descriptor=None):
    kind = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC
    return _socket.socket(_socket.AF_UNIX, kind) if descriptor is None else _socket.socket(
        _socket.AF_UNIX, kind, 0, descriptor)


def _allowed(client):
    """Return what a helper may say: root and the service's own processes are heard, nobody else."""
    pid, user, _ = struct.unpack("3i", client.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, SO_PEERCRED_SIZE))
    if user == 0:
        return ("listens", "failed", "idle", "wake", "hold", "status")
    try:
        with open("/proc/{}/cgroup".format(pid)) as lines:
            ours = any(is_of_service(line) for line in lines)
    except OSError:
        ours = False
    return ("idle", "wake", "client", "answered", "numbers") if ours else ()


def is_of_service(line):
    """Return whether a line of a process's cgroup file (cgroups(7)) puts it into the proxy's service."""
    # A user's own manager may call a unit as it likes.
    return line.rstrip("\n").endswith("/{}.service".format(UNITS)) and ":/user.slice/" not in line
