"""One package with its units, an engine, a container and clients, in which one thing happens after the other.

Knows what may happen next and what a client is owed; hides nothing of the units (manager.py) and of the helpers (processes.py).
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import socket
from pathlib import Path
from typing import Any

from fake_docker import FakeDocker
from fake_engine import Workload

from .manager import UNITS, Manager
from .processes import FOR_EVER, SAID, Action, Processes

LIBEXEC = Path("/usr/libexec")
FIRST, NEXT = Path("/run/first"), Path("/run/next")  # the packages, unpacked and compiled
ADDRESS = "172.17.0.2"
ENGINE = "/run/docker.sock"
JOURNAL = Path("/run/systemd/journal/socket")
HELLO = b"hello"
PASSING = "time passes until "


class Engine(FakeDocker):
    """The fake Docker, which does one thing after the other, and ends a container in two steps when the search says so."""

    def __init__(self, name: str, specification: str) -> None:
        self.held: list[tuple[str, socket.socket]] = []  # requests that are answered once the end of the container is known
        self.server: Server | None = None
        super().__init__(Path("/run/search"))
        self.workloads = {name: Workload(specification)}
        self.name = name
        self.is_dead = False  # the container, of which the engine does not know yet
        self.status = 0

    def comes_back(self) -> None:
        self.path = ENGINE
        Path(ENGINE).unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(ENGINE)
        self.listener.listen(16)
        self.listener.setblocking(False)

    def serve(self) -> None:
        """Answer all requests that have come."""
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = self.listener.accept()
                self.answer(connection)

    def answer(self, connection: socket.socket) -> None:
        request = connection.recv(65536, socket.MSG_PEEK).decode()
        verb = request.split(" ")[1].partition("?")[0].rpartition("/")[2] if request else ""
        if verb in ("stop", "wait") and self.container.is_running:
            self.held.append((verb, connection))
        else:
            super().answer(connection)

    @property
    def container(self) -> Workload:
        return self.workloads[self.name]

    def is_at_work(self) -> bool:
        return self.container.is_running and not self.container.is_paused and not self.is_dead

    def is_stopping(self) -> bool:
        return any(verb == "stop" for verb, _ in self.held)

    def begin(self, name: str) -> None:
        super().begin(name)
        self.server = Server()

    def dies(self, status: int = 143) -> None:
        """Let the container end; its engine knows later."""
        assert self.server is not None
        self.is_dead, self.status = True, status
        self.server.close()
        self.end_of_life(self.container.life)
        self.loses_readers()

    def knows(self) -> None:
        """Let the engine know that it has ended."""
        self.is_dead = False
        self.ends(self.container, self.status)
        held, self.held = self.held, []
        for _, connection in held:
            self._reply(connection, 200, {"StatusCode": self.status})
            connection.close()

    def _details(self, workload: Workload) -> Any:
        networks = {"bridge": {"IPAddress": ADDRESS if workload.is_running else "", "GlobalIPv6Address": ""}}
        return {**super()._details(workload), "HostConfig": {"NetworkMode": "default"}, "NetworkSettings": {"Networks": networks}}


class Server:
    """What listens in the container: it greets, and lets go who has heard it."""

    def __init__(self) -> None:
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((ADDRESS, 80))
        self.listener.listen(128)
        self.listener.setblocking(False)
        self.open: list[socket.socket] = []

    def serve(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = self.listener.accept()
                connection.setblocking(False)
                with contextlib.suppress(OSError):  # who only looks whether it listens has gone
                    connection.sendall(HELLO)
                    connection.shutdown(socket.SHUT_WR)
                self.open.append(connection)
        for connection in self.open.copy():
            with contextlib.suppress(BlockingIOError):
                try:
                    if connection.recv(1000):
                        continue
                except ConnectionError:
                    pass
                self.open.remove(connection)
                connection.close()

    def close(self) -> None:
        for one in [self.listener, *self.open]:
            one.close()


class Client:
    """Connects, and waits for the greeting."""

    def __init__(self, port: int, now: float) -> None:
        self.since, self.until, self.outcome = now, 0.0, ""
        self.heard = b""
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)

    def listen(self, now: float) -> None:
        if self.outcome:
            return
        try:
            data = self.socket.recv(1000)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        self.heard += data
        if not data:
            self.outcome = "answered" if self.heard == HELLO else "reset"
            self.until = now
            self.socket.close()


class World:
    """Everything, from an installation on: asleep, and nobody there."""

    def __init__(self) -> None:
        self.install(FIRST)
        (helpers,) = LIBEXEC.iterdir()
        self.clean(helpers.name)
        declared = json.loads((helpers / "container.json").read_text())
        self.name = declared["container"]
        self.processes = Processes()
        self.manager = Manager(self.processes)
        self.engine = Engine(self.name, declared["spec"])
        self.clients: list[Client] = []
        JOURNAL.parent.mkdir(parents=True, exist_ok=True)
        self.journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.journal.bind(str(JOURNAL))
        self.journal.setblocking(False)
        self.manager.start(f"{self.name}.socket")
        (self.port,) = [int(one.value("ListenStream")) for one in self.manager.sockets.values() if one.value("ListenStream")]

    @staticmethod
    def install(package: Path) -> None:
        """Put the files of a package in their places."""
        (helpers,) = (package / "usr/libexec").iterdir()
        for place, source in ((LIBEXEC / helpers.name, helpers), (UNITS, package / "usr/lib/systemd/system")):
            place.unlink(missing_ok=True)
            place.symlink_to(source)

    @staticmethod
    def clean(package: str) -> None:
        for path in ("search", package, "ondemand", "ondemand.doors", "systemd"):
            shutil.rmtree(f"/run/{path}", ignore_errors=True)
        Path("/run/ondemand.door").unlink(missing_ok=True)

    # What happens by itself

    def settle(self) -> None:
        """Let everything happen that no order matters for."""
        self.engine.serve()
        if self.engine.server is not None and self.engine.is_at_work():
            self.engine.server.serve()
        self.manager.heed_notes()
        for client in self.clients:
            client.listen(self.processes.now)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.journal.recv(65536)

    def actions(self) -> list[Action]:
        """Return what may happen next, the most usual first."""
        self.settle()
        found: list[Action] = [(f"{process.name} goes on", functools.partial(self.processes.go, process))
                               for process in self.processes.ready()]
        found += self.manager.actions()
        if self.engine.is_dead:
            found.append(("the engine knows that the container has ended", self.engine.knows))
        elif self.engine.is_stopping():
            found.append(("the container stops", self.engine.dies))
        if not found and self.processes.next_deadline() < FOR_EVER:
            found.append((f"{PASSING}{self.processes.next_deadline():.3f}", self.pass_time))
        return found

    def pass_time(self) -> None:
        self.processes.now = max(self.processes.now, self.processes.next_deadline())

    # What others do

    def connect(self) -> None:
        self.clients.append(Client(self.port, self.processes.now))

    def kill(self) -> None:
        """Somebody kills the container."""
        if self.engine.container.is_running and not self.engine.is_dead:
            self.engine.dies(status=128 + signal.SIGKILL)

    def stop(self) -> None:
        """Somebody stops both services."""
        self.manager.stop(*self.manager.services)

    def upgrade(self) -> None:
        """Somebody installs another release, whose package declares the same: what its maintainer scripts do then."""
        self.install(NEXT)
        self.manager.reload()
        for one in self.manager.sockets.values():
            if one.value("ListenSequentialPacket"):
                one.start()

    def said(self) -> str:
        return SAID.read_text(errors="replace")

    def close(self) -> None:
        """End all of it, and wait for that."""
        for client in self.clients:
            client.socket.close()
        self.processes.close()
        self.manager.close()
        if self.engine.server is not None:
            self.engine.server.close()
        self.engine.close()
        self.journal.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

