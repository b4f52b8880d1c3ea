"""The tasks of a service that has several: which are ready, and where they listen.

Runs in the place of waitport's own checks, next to `run`, for the whole life of the service on this host.  Knows how the engine
names tasks and their ports, and asks each until it is ready; hides that from `run`, which hears all addresses as one word:
HOST/PORT=PUBLISHED[/PORT=PUBLISHED]..., one task behind the other with a "+" between them.
"""

import os
import select
import time

import words
from engines import EngineDown, EngineError
from waitport import Probe

LOOK = 0.02  # seconds until tasks are asked for again while none is ready
GROWTH = 0.5  # the same while some are not ready
PERIOD = 2.0  # the same while all are: the engine tells at once of those on this host alone
LONGEST = 900  # bytes of the word, which goes into one packet; more tasks than fit have no clients of this host
RUNNING, OVER = "running", ("complete", "shutdown", "failed", "rejected", "orphaned", "remove")
BAD = ("complete", "failed", "rejected")


class Task:
    """One that runs: where its ports are, and what it is still asked."""

    def __init__(self, host: "str", ports: "Dict[int, int]", checks: "List[Check]") -> "None":
        self.address = host + "".join("/{}={}".format(*pair) for pair in sorted(ports.items()))
        self.checks = checks

    def is_ready(self) -> "bool":
        while self.checks and self.checks[0].look():
            self.checks.pop(0)
        return not self.checks


class Watch:
    """The tasks of one life of a service on this host."""

    def __init__(self, engine: "Engine", workload: "str", control: "Client", ports: "Sequence[int]", kind: "str",
                 needed: "Sequence[int]", limit: "float") -> "None":
        self.engine: "Any" = engine
        self.workload = workload
        self.control = control
        self.ports = ports
        self.kind = kind
        self.needed = needed  # of the ports; none where one of all is enough
        self.limit = limit
        self.deadline = time.monotonic() + limit
        self.tasks: "Dict[str, Task]" = {}
        self.nodes: "Dict[str, str]" = {}
        self.past: "Optional[Set[str]]" = None  # those that had ended before
        self.lost: "Dict[str, str]" = {}  # those that have ended since, and why
        self.told = ""
        self.events: "Optional[Socket]" = None

    def run(self) -> "int":
        """Tell `run` which tasks are ready until it has ended; return the exit status."""
        last = 0.0
        while True:
            try:
                if time.monotonic() >= last + self.pause():
                    self.ask()
                    last = time.monotonic()
            except (EngineDown, EngineError):
                last = time.monotonic()  # the tasks go on without it
            self.tell([task.address for task in list(self.tasks.values()) if task.is_ready()])
            if not self.told and (self.has_failed() or time.monotonic() > self.deadline):
                self.control.tell("{} {}".format(words.FAILED, self.reason()))
                return 1
            waits = any(task.checks for task in self.tasks.values())
            heard = self.listen(0.0 if waits else max(0.0, last + self.pause() - time.monotonic()))
            if heard is None:
                return 0
            if heard:
                last = 0.0

    def pause(self) -> "float":
        return LOOK if not self.told else GROWTH if any(task.checks for task in self.tasks.values()) else PERIOD

    def listen(self, seconds: "float") -> "Optional[bool]":
        """Return whether the engine has told of tasks, None where `run` has ended, after so many seconds at most."""
        poll = select.poll()
        poll.register(self.control.socket, select.POLLIN)
        if self.events is not None:
            poll.register(self.events, select.POLLIN)
        heard = False
        for descriptor, _ in poll.poll(int(1000 * seconds) + (1 if seconds else 0)):
            if descriptor == self.control.socket.fileno():
                if not self.control.receive():
                    return None
            elif self.events is not None:
                heard = True
                if not self.events.recv(65536):
                    self.events.close()
                    self.events = None
        return heard

    def ask(self) -> "None":
        """Ask the engine which tasks run, and where."""
        if self.events is None:
            self.events = self.engine.events(self.workload)
        found = self.engine.tasks(self.workload)
        states = {str(task["ID"]): str(task["Status"]["State"]) for task in found}
        if self.past is None:
            self.past = {one for one, state in states.items() if state in OVER}
        for task in found:
            if states[task["ID"]] in BAD and task["ID"] not in self.past:
                status = task["Status"]
                self.lost[task["ID"]] = str(status.get("Err") or status.get("Message") or states[task["ID"]])
        running = {str(task["ID"]): task for task in found
                   if states[task["ID"]] == RUNNING and task.get("DesiredState") == RUNNING}
        for gone in set(self.tasks) - set(running):
            del self.tasks[gone]
        for new in sorted(set(running) - set(self.tasks)):
            task = self.task(running[new])
            if task is not None:
                self.tasks[new] = task

    def task(self, known: "Dict[str, Any]") -> "Optional[Task]":
        """Return a task that runs; None where the engine does not tell yet where."""
        inside = self.engine.inside(known)
        if inside:
            # Not at its published ports: where the node's address is that of loopback, the engine's own program takes every
            # connection there, be the task ready or not.
            own = {port: port for port in self.ports}
            return Task(inside, own, self.checks(inside, own))
        told = ((known["Status"].get("PortStatus") or {}).get("Ports")) or ()
        ports = {int(one["TargetPort"]): int(one["PublishedPort"]) for one in told
                 if one.get("Protocol", "tcp") == "tcp" and one.get("PublishedPort")}
        node = str(known.get("NodeID") or "")
        if node not in self.nodes:
            self.nodes = self.engine.members()
        if not set(self.ports) <= set(ports) or not self.nodes.get(node):
            return None
        return Task(self.nodes[node], ports, self.checks(self.nodes[node], ports))

    def checks(self, host: "str", ports: "Dict[int, int]") -> "List[Check]":
        if self.kind == "http":
            from declared import readiness
            from httpcheck import HttpCheck

            return [Probe(host, ports[self.ports[0]]), HttpCheck(host, ports[self.ports[0]], readiness())]
        return [Probe(host, ports[port]) for port in self.needed]

    def tell(self, ready: "List[str]") -> "None":
        """Tell `run` where clients may be led, where that has changed; as long as none is ready, nothing."""
        ready.sort(key=lambda address: hash((os.getpid(), address)))  # where not all fit, hosts choose different ones
        told = ""
        for address in ready:
            if len(told) + len(address) < LONGEST:
                told += "+" + address if told else address
        if told and told != self.told:
            self.control.tell("{} {}".format(words.MOVED if self.told else words.LISTENS, told))
            self.told = told

    def has_failed(self) -> "bool":
        from engines.swarm_service import declared

        return len(self.lost) >= int(declared()["swarm"]["replicas"]) if self.lost else False

    def reason(self) -> "str":
        if self.lost:
            return "its tasks end before they are ready: {}".format(sorted(self.lost.values())[-1])
        pending = [check for task in self.tasks.values() for check in task.checks[:1]]
        if pending:
            return "timed out after {:g} s waiting for a task to {} ({})".format(self.limit, pending[0].what, pending[0].last)
        return "timed out after {:g} s waiting for a task to run; see '{}'".format(
            self.limit, self.engine.tasks_by_hand())


def watch(engine: "Engine", workload: "str", control: "Client", limit: "float", kind: "str", ports: "Sequence[int]",
          needed: "Sequence[int]") -> "int":
    return Watch(engine, workload, control, ports, kind, needed, limit).run()


TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Any, Dict, List, Optional, Sequence, Set, Union

    from control import Client
    from engines import Engine
    from httpcheck import HttpCheck

    Check = Union[Probe, HttpCheck]
