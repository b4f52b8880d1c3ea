"""A small stand-in for systemd: the units of one package, as their files have them, and the order in which it notices things.

Knows what a start, a stop, a socket that becomes readable and the end of a process mean for units (systemd.service(5),
systemd.socket(5); src/core/service.c and socket.c for what those pages leave out); hides nothing of the processes.  That a
process has ended is noticed, and a client is seen, only when the search says so.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import socket
from pathlib import Path

from .processes import Action, Process, Processes

UNITS = Path("/run/units")
NOTIFY = "/run/search/notify"
DEAD, STARTING, RUNNING, STOPPING, AFTERWARDS = "dead", "starting", "running", "stopping", "afterwards"
LISTENING, LED = "listening", "led"  # of sockets: it waits for a client, or its service has the socket


class Unit:
    """What a file of a unit says, each key with all of its values."""

    def __init__(self, manager: Manager, name: str) -> None:
        self.manager = manager
        self.name = name
        self.read()

    def read(self) -> None:
        self.said: dict[str, list[str]] = {}
        for line in (UNITS / self.name).read_text().splitlines():
            key, equals, value = line.partition("=")
            if equals and not key.startswith("#"):
                self.said.setdefault(key, []).extend([value] if key.startswith("Exec") else value.split())

    def value(self, key: str) -> str:
        return " ".join(self.said.get(key, []))

    def needs(self) -> list[str]:
        """Return the units of this package that are started with it, sockets first: they come before their services."""
        found = [name for key in ("Requires", "Wants", "BindsTo") for name in self.said.get(key, []) if (UNITS / name).exists()]
        return sorted(found, key=lambda name: not name.endswith(".socket"))


class Socket(Unit):
    """A socket unit with one address."""

    def __init__(self, manager: Manager, name: str) -> None:
        super().__init__(manager, name)
        self.state = DEAD
        self.socket: socket.socket | None = None

    def service(self) -> Service:
        return self.manager.services[self.name.replace(".socket", ".service")]

    def start(self) -> None:
        if self.state != DEAD or self.service().state != DEAD:
            return  # systemd refuses a socket whose service is active
        path = self.value("ListenSequentialPacket")
        if path:
            Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            Path(path).unlink(missing_ok=True)
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.socket.bind(path)
        else:
            self.socket = socket.socket()
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(("127.0.0.1", int(self.value("ListenStream").rpartition(":")[2])))
        self.socket.listen(128)
        self.state = LISTENING

    def is_readable(self) -> bool:
        return self.socket is not None and bool(select.select([self.socket], [], [], 0)[0])

    def see(self) -> None:
        """A client is seen while the service is not there to see it."""
        self.state = LED
        if not self.service().is_active() and not self.service().is_wanted:
            self.manager.start(self.service().name)

    def heed_end(self) -> None:
        """The service is over: listen again."""
        if self.state == LED and self.socket is not None:
            self.state = LISTENING
            while self.value("FlushPending") == "yes" and self.is_readable():
                self.socket.accept()[0].close()


class Service(Unit):
    """A service."""

    def __init__(self, manager: Manager, name: str) -> None:
        super().__init__(manager, name)
        self.state = DEAD
        self.main = self.control = 0  # processes
        self.is_wanted = False  # to be started once it is dead
        self.result = "success"

    def is_active(self) -> bool:
        return self.state in (STARTING, RUNNING)

    def start(self) -> None:
        """Begin a life, or once the last one is over."""
        if self.state in (STOPPING, AFTERWARDS):
            self.is_wanted = True
        elif self.state == DEAD:
            self.begin()

    def begin(self) -> None:
        self.is_wanted, self.result = False, "success"
        for directory in self.said.get("RuntimeDirectory", []):
            Path("/run", directory).mkdir(exist_ok=True)
        for pair in self.said.get("BindPaths", []):
            self.show(*pair.lstrip("-").split(":"))
        own = [one for one in self.manager.sockets.values() if one.service() is self and one.state != DEAD]
        for one in own:
            one.state = LED
        self.state = STARTING if self.value("Type") == "notify" else RUNNING
        sockets = [one.socket for one in own if one.socket is not None]
        environment = {"NOTIFY_SOCKET": NOTIFY} if self.state == STARTING else {}
        self.main = self.run(self.said["ExecStart"][0], sockets, environment)

    @staticmethod
    def show(source: str, place: str) -> None:
        """Let a service see a file at another place, where it sees that one even when the first is replaced."""
        Path(place).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.link(source, place)

    def run(self, command: str, sockets: list[socket.socket], environment: dict[str, str]) -> int:
        argv = shlex.split(command)
        name = " ".join([Path(argv[0]).name, *(argv[1:] if len(argv) == 2 else [])])  # "relay", "run", "container stop"
        return self.manager.processes.start(name, argv, sockets, environment)

    def stop(self) -> None:
        self.is_wanted = False
        if self.is_active():
            self.state = STOPPING
            self.manager.processes.signal(self.main, signal.SIGTERM)

    def heed_end_of_main(self) -> None:
        status = self.manager.processes.ended.pop(self.main)
        if status:
            self.result = "signal" if os.WIFSIGNALED(status) else "exit-code"
        elif self.state == STARTING:
            self.result = "protocol"
        self.main = 0
        if "ExecStopPost" in self.said:
            self.state = AFTERWARDS
            self.manager.end_children()
            self.control = self.run(self.said["ExecStopPost"][0].lstrip("+"), [], {"SERVICE_RESULT": self.result})
        else:
            self.end()

    def heed_end_of_control(self) -> None:
        del self.manager.processes.ended[self.control]
        self.control = 0
        self.end()

    def end(self) -> None:
        self.state = DEAD
        if self.is_wanted:
            self.begin()
            return
        for one in self.manager.sockets.values():
            if one.service() is self:
                one.heed_end()


class Manager:
    """The units of the one package that is installed."""

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self.services: dict[str, Service] = {}
        self.sockets: dict[str, Socket] = {}
        self.reload()
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notified.bind(NOTIFY)
        self.notified.setblocking(False)

    def reload(self) -> None:
        """Read the files of the units, new ones too; what a unit is doing goes on."""
        for unit in [*self.services.values(), *self.sockets.values()]:
            unit.read()
        for name in sorted(path.name for path in UNITS.iterdir()):
            if name.endswith(".service") and name not in self.services:
                self.services[name] = Service(self, name)
            elif name.endswith(".socket") and name not in self.sockets:
                self.sockets[name] = Socket(self, name)

    def start(self, name: str) -> None:
        """Start a unit with all that it needs; what is taken for active is left as it is."""
        unit = self.services.get(name) or self.sockets[name]
        if unit.state not in (STARTING, RUNNING, LISTENING, LED):
            for other in unit.needs():
                self.start(other)
            unit.start()

    def stop(self, *names: str) -> None:
        """Stop services, and those that are parts of them."""
        for service in self.services.values():
            if service.name in names or set(service.said.get("PartOf", [])) & set(names):
                service.stop()

    def heed_notes(self) -> None:
        """Hear which service is ready: only one of them says so."""
        with contextlib.suppress(BlockingIOError):
            while True:
                if b"READY=1" in self.notified.recv(1000):
                    for service in self.services.values():
                        if service.state == STARTING:
                            service.state = RUNNING

    def end_children(self) -> None:
        """Kill what a process has left in its control group."""
        for process in self.children():
            self.processes.kill(process.pid)

    def children(self) -> list[Process]:
        return [process for process in self.processes.waiting.values() if process.pid not in self.processes.names]

    def actions(self) -> list[Action]:
        """Return what it may do next."""
        found: list[Action] = []
        for service in self.services.values():
            if service.main in self.processes.ended:
                found.append((f"systemd notices the end of {service.name}", service.heed_end_of_main))
            if service.control in self.processes.ended:
                found.append((f"systemd notices the end of ExecStopPost= of {service.name}", service.heed_end_of_control))
        for one in self.sockets.values():
            if one.state == LISTENING and one.is_readable():
                found.append((f"systemd sees a client at {one.name}", one.see))
        return found

    def close(self) -> None:
        for one in self.sockets.values():
            if one.socket is not None:
                one.socket.close()
        self.notified.close()
