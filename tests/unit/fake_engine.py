"""An engine that does what a test tells it, faults included that a real one can't be made to show.

Knows the workloads, the commands inside them, and what a test may let happen to them; hides nothing of how an engine is asked:
that is in fake_docker.py and other_engine.py, which have no more in common than this.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import socket
import threading
import time
from pathlib import Path

from engines import Engine

NAME = "ondemand-x"
SPEC = "f" * 64
IDENTITIES = itertools.count(1)


class Refusal(Exception):
    """What the engine does not do; the text says why."""


class Departure(Exception):
    """The engine goes away before it has answered."""


class NotThere(Refusal):
    """The workload that was asked for is not there."""


@dataclasses.dataclass
class Workload:
    specification: str = SPEC
    is_running: bool = False
    is_paused: bool = False
    is_spoilt: bool = False  # it can't be started any more
    status: int = 0
    out_of_memory: bool = False
    memory: int = 0  # its limit
    started: float = 0.0
    life: str = ""
    written: list[tuple[int, bytes]] = dataclasses.field(default_factory=list)
    volumes: list[tuple[str, str]] = dataclasses.field(default_factory=list)  # anonymous ones
    image: str = ""
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    identity: str = dataclasses.field(default_factory=lambda: f"identity-{next(IDENTITIES)}")


@dataclasses.dataclass
class Errand:
    """A command inside a workload, as it will go."""

    writes: bytes = b""
    status: int | None = 0  # None: it never ends
    looks: int = 0  # how often the engine does not know of its end yet
    argv: list[str] = dataclasses.field(default_factory=list)
    killed: threading.Event = dataclasses.field(default_factory=threading.Event)


class FakeEngine:
    """One engine with a workload ``ondemand-x``; what is asked of it is in ``asked``, in the words of its interface."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = str(directory / "engine.sock")
        self.asked: list[str] = []
        self.refuses: dict[str, str] = {}  # why, by the word for what it does not do
        self.workloads = {NAME: Workload()}
        self.images: set[str] = set()
        self.errands: list[Errand] = []  # to come; the last one for ever
        self.sent: list[Errand] = []
        self.own_check: tuple[list[str], float] | None = None
        self.readers: list[socket.socket] = []
        self.attending: list[socket.socket] = []  # connections that end with the engine
        self.reading = threading.Lock()  # somebody comes to those two, or goes
        self.hangs: set[str] = set()  # the words that it never answers
        self.released = threading.Event()  # of those that hang
        self.leaves: dict[str, int] = {}  # how often it goes away before it has answered, by the word
        self.attached = threading.Event()  # somebody reads
        self.known = threading.Event()  # it knows how the workload has ended
        self.comes_back()

    # How it is asked

    def engine(self) -> Engine:
        """Return what asks this engine."""
        raise NotImplementedError

    def answer(self, connection: socket.socket) -> None:
        """Answer what is asked on a connection, and close it unless somebody reads there."""
        raise NotImplementedError

    def framed(self, stream: int, data: bytes) -> bytes:
        """Return output as it is sent."""
        raise NotImplementedError

    def new_life(self) -> str:
        raise NotImplementedError

    def end_of_life(self, life: str) -> None:
        """Let a life be seen to be over."""
        raise NotImplementedError

    # What tests let happen

    @property
    def workload(self) -> Workload:
        return self.workloads[NAME]

    def starts(self) -> str:
        """Let the workload be started by somebody else; return its life."""
        self.begin(NAME)
        found = self.engine().look(NAME)
        assert found is not None
        return found.life

    def exits(self, status: int, out_of_memory: bool = False) -> None:
        """Let the workload end, and the engine know of it."""
        self.ends(self.workload, status, out_of_memory)

    def ends(self, workload: Workload, status: int, out_of_memory: bool = False) -> None:
        workload.status, workload.out_of_memory = status, out_of_memory
        workload.is_running = workload.is_paused = False
        self.known.set()
        self.loses_readers()

    def dies(self) -> None:
        """Let the workload end, and the engine not know of it yet."""
        self.end_of_life(self.workload.life)
        self.loses_readers()

    def says(self, data: bytes, stream: int = 1) -> None:
        """Let the workload write."""
        with self.reading:
            reader = self.readers[-1]
        self.send_to(reader, self.framed(stream, data))

    @staticmethod
    def send_to(reader: socket.socket, data: bytes) -> None:
        """Send to somebody who may have gone: an engine does not fail of it."""
        with contextlib.suppress(ConnectionError):
            reader.sendall(data)

    def loses_readers(self) -> None:
        with self.reading:
            self.attached.clear()
            lost = self.readers.copy()  # whoever comes again at once is not lost
            self.readers.clear()
        for reader in lost:
            reader.close()

    def goes_on(self, connection: socket.socket, head: bytes, others: list[socket.socket]) -> None:
        """Begin an answer that goes on: whoever has got its head is one of those that can be lost."""
        with self.reading:
            self.send_to(connection, head)
            others.append(connection)
            if others is self.readers:
                self.attached.set()

    def goes_away(self) -> None:
        """Let the engine end; its workloads go on."""
        with self.reading:
            left = self.attending.copy()
            self.attending.clear()
        for connection in left:
            connection.close()
        os.unlink(self.path)
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # closing alone wakes nobody who accepts
        self.listener.close()
        self.loses_readers()

    def comes_back(self) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        threading.Thread(target=self._serve, args=[self.listener], daemon=True).start()

    def restarts(self) -> None:
        """Let the engine go away, its workload with it, and come back."""
        self.leaves_for_good()
        time.sleep(0.2)
        self.comes_back()

    def leaves_for_good(self) -> None:
        """Let the engine go away, and its workload with it."""
        while not self.attending:
            time.sleep(0.001)  # a real one has accepted whoever came before a request that it has answered
        self.goes_away()
        self.end_of_life(self.workload.life)
        self.workload.is_running, self.workload.status = False, 143

    def close(self) -> None:
        self.released.set()
        self.known.set()
        self.goes_away()
        for life in {workload.life for workload in self.workloads.values() if workload.life}:
            self.end_of_life(life)

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=[connection], daemon=True).start()

    # What can be asked

    def hear(self, word: str) -> None:
        """Note what is asked.  Raises Refusal."""
        self.asked.append(word)
        if self.leaves.get(word):
            self.leaves[word] -= 1
            raise Departure
        if word in self.hangs:
            self.released.wait(1000)
        if (reason := self.refuses.get(word)) is not None:
            raise Refusal(reason)

    def hears(self, word: str, count: int = 1) -> None:
        """Wait until something was asked so often: `run` says what it is about to ask before it does."""
        deadline = time.monotonic() + 10
        while self.asked.count(word) < count:
            assert time.monotonic() < deadline, f"not asked for {word!r} {count} times: {self.asked}"
            time.sleep(0.001)

    def found(self, name: str) -> Workload:
        for called, workload in self.workloads.items():
            if name in (called, workload.identity):
                return workload
        raise NotThere(f"nobody is called {name}")

    def begin(self, name: str) -> None:
        workload = self.found(name)
        workload.is_running, workload.started, workload.life = True, 1740824430.5, self.new_life()
        self.known.clear()

    def stop(self, name: str) -> None:
        workload = self.found(name)
        if workload.is_running and workload.life:
            self.ends(workload, 143)
        workload.is_running = workload.is_paused = False

    def rename(self, old: str, new: str) -> None:
        if new in self.workloads:
            raise Refusal(f"{new} is somebody else")
        self.workloads[new] = self.found(old)
        del self.workloads[old]

    def make(self, name: str, workload: Workload) -> None:
        if name in self.workloads:
            raise Refusal(f"{name} is somebody else")
        self.workloads[name] = workload

    def send(self, argv: list[str]) -> int:
        """Begin a command inside; return its number."""
        errand = self.errands.pop(0) if len(self.errands) > 1 else self.errands[0]
        self.sent.append(Errand(errand.writes, errand.status, errand.looks, argv))
        return len(self.sent) - 1

    def end_of(self, number: int) -> int | None:
        """Return the exit status of a command, None where none is known."""
        errand = self.sent[number]
        if errand.looks:
            errand.looks -= 1
            return None
        return errand.status
