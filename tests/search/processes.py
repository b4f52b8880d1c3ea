"""The processes of helpers under a search: who may go on, and what the time is.

Knows how each is started, and how it is asked whether it has something to do (turn.py); hides descriptors and packets.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

TURN = Path(__file__).with_name("turn.py")
CHANNEL = "/run/search/turns"
STEP, SPAWN = 0.001, 0.02  # seconds of the search's clock that a turn takes, and until a program has begun
PATIENCE = 60.0  # real seconds until a process that neither waits nor ends is a fault of the search
FOR_EVER = float("inf")
SAID = Path("/run/search/said")

Action = tuple[str, Callable[[], None]]  # what may happen next, and how it is made to happen


class Process:
    """One that takes turns."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self.channel = channel
        self.name = "waitport"  # a child of `run`, unless it was started by name
        self.deadline = FOR_EVER
        self.since = 0  # the number of the turn after which it waits


class Processes:
    """All of them, and the clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.turns = 0
        Path(CHANNEL).parent.mkdir(exist_ok=True)
        Path(CHANNEL).unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(CHANNEL)
        self.listener.listen(16)
        self.waiting: dict[int, Process] = {}
        self.ended: dict[int, int] = {}  # statuses of waitpid(2) of those that were started by name
        self.names: dict[int, str] = {}
        self.output = os.open(SAID, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)

    def start(self, name: str, argv: Sequence[str], sockets: Sequence[socket.socket], environment: dict[str, str]) -> int:
        """Start a helper; return its process ID once it waits for its first turn."""
        self.now += SPAWN
        pid = os.fork()
        if not pid:
            try:
                passed = [os.dup(one.fileno()) for one in sockets]
                high = [os.dup2(descriptor, 800 + index) for index, descriptor in enumerate(passed)]
                os.dup2(self.output, 1)
                os.dup2(self.output, 2)
                for index, descriptor in enumerate(high):
                    os.dup2(descriptor, 3 + index)
                os.closerange(3 + len(high), 2000)
                os.execve("/usr/bin/python3", ["python3", "-ESB", str(TURN), *argv], {
                    "PATH": "/usr/bin:/bin", "LISTEN_FDS": str(len(high)), "LISTEN_PID": str(os.getpid()), **environment})
            finally:
                os._exit(127)
        self.names[pid] = name
        self.meet()
        return pid

    def meet(self) -> None:
        """Let a process that has begun take part; that it begins is waited for."""
        readable, _, _ = select.select([self.listener], [], [], PATIENCE)
        assert readable, "a process has begun that does not say so: " + SAID.read_text()[-2000:]
        channel, _ = self.listener.accept()
        process = Process(int(channel.recv(100).decode().split()[1]), channel)
        process.name = self.names.get(process.pid, process.name)
        self.hear(process)

    def hear(self, process: Process) -> None:
        """Wait until a process waits, or has ended."""
        while True:
            readable, _, _ = select.select([process.channel], [], [], PATIENCE)
            assert readable, f"{process.name} neither waits nor ends: " + SAID.read_text()[-2000:]
            try:
                packet = process.channel.recv(100).decode()
            except ConnectionError:
                packet = ""
            if packet != "forks":
                break
            self.meet()
        if packet:
            process.deadline = float(packet.split()[1])
            process.since = self.turns
            self.waiting[process.pid] = process
            return
        process.channel.close()
        self.waiting.pop(process.pid, None)
        try:
            _, status = os.waitpid(process.pid, 0)
        except ChildProcessError:
            return  # another one's child
        if process.pid in self.names:
            self.ended[process.pid] = status

    def ready(self) -> list[Process]:
        """Return those that have something to do, who has waited longest first."""
        found = []
        for process in sorted(self.waiting.values(), key=lambda process: process.since):
            if self.ask(process, f"look {self.now!r}") == "ready":
                found.append(process)
        return found

    def ask(self, process: Process, packet: str) -> str:
        process.channel.send(packet.encode())
        return process.channel.recv(100).decode()

    def go(self, process: Process, signal: int = 0) -> None:
        """Let one go on until it waits again, or ends."""
        self.now += STEP
        self.turns += 1
        del self.waiting[process.pid]
        process.channel.send(f"signal {signal} {self.now!r}".encode() if signal else f"go {self.now!r}".encode())
        self.hear(process)

    def signal(self, pid: int, number: int) -> None:
        if pid in self.waiting:
            self.go(self.waiting[pid], number)

    def kill(self, pid: int) -> None:
        """Kill one that takes turns."""
        process = self.waiting.get(pid)
        if process is not None:
            os.kill(pid, 9)
            self.hear(process)

    def next_deadline(self) -> float:
        return min((process.deadline for process in self.waiting.values()), default=FOR_EVER)

    def close(self) -> None:
        for pid in list(self.waiting):
            self.kill(pid)
        self.listener.close()
        os.close(self.output)

