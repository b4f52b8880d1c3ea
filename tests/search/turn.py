"""Runs one helper of a package as a process that goes on only when it is its turn, under a clock that the search sets.

Usage: turn.py PATH ARGUMENT...

Knows every call at which a helper waits, and has it ask for its turn there; hides that from the helper, whose files are those of
the package, unchanged.  What it says on its channel, one packet each: "begins PID" once, "waits SECONDS" (until when, by the
search's clock) each time that the helper would wait, and "forks" where it has made a child, which begins by itself.  What it
hears: "look NOW", whether there is something to do, to which "ready" or "waits" is the answer; "go NOW", its turn;
"signal NUMBER NOW", a turn that begins with a signal.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # it takes longer to load than all of the rest
    from collections.abc import Callable
    from typing import Any

CHANNEL = "/run/search/turns"
HIGH = 900  # descriptors from here on are out of the way of helpers that close all that they do not know
FOR_EVER = float("inf")
REAL_POLL, REAL_EPOLL, REAL_SOCKET = select.poll, select.epoll, _socket.socket


class Turns:
    """The channel of this process, and the time as it was told last."""

    def __init__(self) -> None:
        self.now = 0.0
        self.begin()

    def begin(self) -> None:
        """Come to know of the search, as a process of its own."""
        channel = REAL_SOCKET(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        channel.connect(CHANNEL)
        high = fcntl.fcntl(channel.fileno(), fcntl.F_DUPFD_CLOEXEC, HIGH)
        channel.close()
        self.channel = REAL_SOCKET(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, high)
        self.channel.send(f"begins {os.getpid()}".encode())
        self.await_turn(lambda: [True], FOR_EVER)

    def wait(self, look: Callable[[], list[Any]], seconds: float | None) -> list[Any]:
        """Return what ``look`` has found once it is this process's turn and there is something, or the time is up."""
        return self.await_turn(look, FOR_EVER if seconds is None or seconds < 0 else self.now + seconds)

    def await_turn(self, look: Callable[[], list[Any]], deadline: float) -> list[Any]:
        found: list[Any] = []
        while True:
            self.channel.send(f"waits {deadline!r}".encode())
            while True:
                word, *about = self.channel.recv(100).decode().split()
                self.now = float(about[-1])
                found = found or look()  # what an edge-triggered epoll has told once it does not tell again
                if word == "go":
                    return found
                if word == "signal":
                    os.kill(os.getpid(), int(about[0]))
                    break
                self.channel.send(b"ready" if found or self.now >= deadline else b"waits")


class Poll:
    """What select.poll() returns."""

    def __init__(self) -> None:
        self.real = REAL_POLL()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def poll(self, milliseconds: float | None = None) -> list[Any]:
        if milliseconds == 0:
            return self.real.poll(0)
        return turns.wait(lambda: self.real.poll(0), None if milliseconds is None else milliseconds / 1000)


class Epoll:
    """What select.epoll() returns."""

    def __init__(self, *arguments: Any) -> None:
        self.real = REAL_EPOLL(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def poll(self, seconds: float | None = None, most: int = -1) -> list[Any]:
        if seconds == 0:
            return self.real.poll(0, most)
        return turns.wait(lambda: self.real.poll(0, most), seconds)


class Socket(_socket.socket):
    """A socket at which a read that would block waits for its turn."""

    def recv(self, size: int, flags: int = 0) -> bytes:
        patience = self.gettimeout()
        if patience != 0 and not flags & _socket.MSG_DONTWAIT:
            poll = REAL_POLL()
            poll.register(self.fileno(), select.POLLIN)
            if not turns.wait(lambda: poll.poll(0), patience):
                raise TimeoutError("timed out")
        return super().recv(size, flags)


def main(path: str, *arguments: str) -> None:
    for module, replaced in ((select, {"poll": Poll, "epoll": Epoll}), (_socket, {"socket": Socket}), (time, {
            "sleep": lambda seconds: turns.wait(lambda: [], seconds), "monotonic": lambda: turns.now, "time": lambda: turns.now,
            "clock_gettime": lambda _: turns.now})):
        vars(module).update(replaced)
    os.register_at_fork(after_in_child=turns.begin, after_in_parent=lambda: turns.channel.send(b"forks"))
    sys.path[0] = os.path.dirname(path)
    begun = turns.now
    for name in ("outcome", "control"):  # the kernel knows when this process began, but by its own clock
        try:
            helper = __import__(name)
        except ImportError:
            continue
        if hasattr(helper, "begin_of_process"):
            vars(helper)["begin_of_process"] = lambda: begun
    sys.argv = [path, *arguments]
    with open(path) as source:
        code = compile(source.read(), path, "exec")
    exec(code, {"__name__": "__main__", "__file__": path, "__doc__": ""})


turns = Turns()
main(*sys.argv[1:])
