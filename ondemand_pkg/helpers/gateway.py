"""The container of another package whose network this package's one has, such as a VPN gateway.

Knows that a network is that of one life of it: this package's workload runs in none that was there before or comes after, and
ends before it or with it.  Hides how that is seen: by the kernel's namespaces and the end of processes, not by names, which
engines give to the next container.  A wake of all others loads none of this.
"""

import os
import select

import words
from control import Client
from engines import EngineDown, EngineError
from names import units_of
from process import Failure, say
from required import STATE

LOOK = 0.05  # seconds until it is looked again whether it lives, where the kernel has no descriptor of its end
MODE = "container:{}"  # how engines call the network of a container
KILL = 9
HIGHEST = 256  # more descriptors than `run` opens


class Gateway:
    """That container, as one life of the workload sees it."""

    def __init__(self, name: "str") -> "None":
        self.name = name
        self.identity = ""  # what the engine calls the container for ever
        self.life = ""  # the engine's token of its life
        self.network = ""  # of that life, as the kernel calls it
        self.over: "Optional[int]" = None  # becomes readable at the end of that life, where the kernel has such a descriptor
        self.guarding: "Optional[int]" = None  # becomes readable when the guard ends

    def find(self, engine: "Engine") -> "Seen":
        """Find the container, be it asleep.  Raises Failure."""
        seen = engine.look(units_of(self.name))
        if seen is None or not seen.specification:
            raise Failure("the container of {0!r}, whose network it has, does not exist at {1}; install ondemand-{0} for that "
                          "engine, and see 'journalctl -u {2}-container'".format(self.name, engine.title, units_of(self.name)))
        self.identity = seen.identity
        return seen

    def reached(self) -> "List[str]":
        return [MODE.format(self.identity)]

    def meet(self, engine: "Engine") -> "None":
        """Take the life that is ready now for the one in whose network the workload starts.  Raises Failure."""
        self.await_ready()
        self.leave()
        seen = self.find(engine)
        self.life = seen.life
        if self.life:
            self.over = engine.descriptor_of_end(self.life)
            self.network = network_of(self.life)
        # Looked at again: until the descriptor was open, the process might have become another one's.
        again = engine.look(self.identity)
        if not self.network or again is None or (again.life, again.is_paused) != (self.life, False) or self.is_over(engine):
            raise Failure("the container of {!r}, whose network it has, does not run".format(self.name))

    def await_ready(self) -> "None":
        """Wait until it is ready; who requires it, keeps it so.  Raises Failure."""
        try:
            control = Client(STATE + self.name + "/control")
        except OSError:
            raise Failure("the container of {0!r}, whose network it has, is asleep; see 'journalctl -u {1}-container'".format(
                self.name, units_of(self.name))) from None
        told = [""]
        while told and told[0] not in (words.READY, words.FAILED, words.PAUSED, words.STOPPING, words.LEAVING):
            told = control.receive()
        control.close()
        if not told or told[0] != words.READY:
            raise Failure("the container of {!r}, whose network it has, is not ready; see 'journalctl -u {}-container'".format(
                self.name, units_of(self.name)))

    def is_over(self, engine: "Engine") -> "bool":
        if self.over is None:
            return not engine.is_alive(self.life)
        poll = select.poll()
        poll.register(self.over, select.POLLIN)
        return bool(poll.poll(0))

    def check(self, engine: "Engine", workload: "str") -> "None":
        """Raise Failure unless the workload is made for the network of that container, and no other one."""
        seen = engine.look(workload)
        if seen is None or engine.joined(seen) != self.identity:
            raise Failure("the container is not in the network of {0!r}, and is not started: it was made for another container; "
                          "see what was said before, why it could not be made again".format(self.name))

    def guard(self, engine: "Engine", seen: "Seen") -> "None":
        """From now on, have a process kill the workload at the end of that life.  Raises Failure where it runs elsewhere."""
        if not seen.is_running:
            return
        if self.is_over(engine) or network_of(seen.life) != self.network:
            self.end(engine, seen.life)
            raise Failure("the container of {!r}, whose network it has, ended or started again meanwhile".format(self.name))
        self.guarding, held = os.pipe2(os.O_CLOEXEC)
        if os.fork():
            os.close(held)
            return
        try:
            self.watch(engine, seen.life, held)
        finally:
            os._exit(0)

    def watch(self, engine: "Engine", life: "str", held: "int") -> "None":
        """Be the process that kills the workload at the end of the other one's life, and ends with either of them."""
        workload = engine.descriptor_of_end(life)
        for other in set(range(3, HIGHEST)) - {held, self.over, workload}:
            try:
                os.close(other)  # what ends with `run` must not go on in here
            except OSError:
                pass
        poll = select.poll()
        for descriptor in (self.over, workload):
            if descriptor is not None:
                poll.register(descriptor, select.POLLIN)
        patience = None if self.over is not None and workload is not None else int(1000 * LOOK)
        while engine.is_alive(life):
            if self.is_over(engine):
                self.end(engine, life)
                return
            poll.poll(patience)

    def end(self, engine: "Engine", life: "str") -> "None":
        """Kill the workload, unless it has ended."""
        if life and engine.is_alive(life):
            kill(engine, life)
            say("the container of {!r}, whose network it has, has ended; so this one is ended".format(self.name))

    def leave(self) -> "None":
        """Forget a life that was met before."""
        for descriptor in (self.over, self.guarding):
            if descriptor is not None:
                os.close(descriptor)
        self.over = self.guarding = None
        self.life = self.network = ""


def network_of(life: "str") -> "str":
    """Return what the kernel calls the network of a process, nothing where it has ended."""
    try:
        return os.readlink("/proc/{}/ns/net".format(life))
    except OSError:
        return ""


def kill(engine: "Engine", life: "str") -> "None":
    """Kill a workload at once: with the first process of its namespace the kernel ends all others in it."""
    try:
        process = engine.process(life)
        if process is not None:
            os.kill(process, KILL)
    except (EngineDown, EngineError, OSError, ValueError):
        pass  # it has ended


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

    from engines import Engine, Seen
