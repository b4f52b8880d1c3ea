"""A unit of systemd that is there already: a plain service, a container of LXC or nspawn, or whatever else systemd starts.

Knows systemctl(1), and how LXC pauses its containers, whose processes are in no unit of theirs; hides both.  Nothing is made,
changed or removed: the unit is started and stopped, paused and resumed.
"""

import os
import select
import time

import programs
from names import DECLARATION, LEAVE, UNITS, WORKLOAD
from process import Failure

from engines import Engine, EngineDown, EngineError, Output, Pending, Seen
from engines.processes import at_its_end, descriptor_of_end, is_alive

PROPERTIES = ("LoadState", "ActiveState", "SubState", "FreezerState", "MainPID", "InvocationID", "ExecMainCode", "ExecMainStatus",
              "Result", "UnitFileState")
RUNNING = ("active", "reloading", "refreshing", "activating")
STOPPED = ("inactive", "failed", "deactivating")
BETWEEN = ("auto-restart", "auto-restart-queued")  # it has ended, and will be started again
FROZEN = ("frozen", "freezing", "frozen-by-parent")
KILLED = ("2", "3")  # codes of an exit by a signal: CLD_KILLED and CLD_DUMPED of sigaction(2)
PROXY = UNITS + ".service"  # it has a user of its own
OUT_OF_MEMORY = "oom-kill"
OF_LXC, SERVICE = "lxc@", ".service"
PATIENCE = 30.0  # seconds for an answer of systemd's manager
ADDRESS_PATIENCE = 10.0  # seconds in which a workload must listen, or have got an address in a network of its own
LOOK = 0.05  # seconds
LAST_LINES = "20"  # of the output, in which the last words are
NOT_THERE = "the unit {0} does not exist on this host; install what brings it, or declare another 'unit'"


class Unit(Engine):
    """systemd's manager, for the one unit that the package names."""

    word, title, place = "unit", "systemd", "D-Bus"
    kind = "unit"
    makes = False

    def __init__(self) -> "None":
        import json

        with open(DECLARATION, "rb") as stream:
            declared = json.loads(stream.read().decode("ascii"))
        self.unit: "str" = declared["unit"]
        self.address: "str" = declared.get("address", "")
        self.ports: "List[int]" = declared["targets"]
        self.datagrams: "List[int]" = declared["udp_targets"]
        self.specification: "str" = declared["spec"]
        self.patience = PATIENCE
        is_of_lxc = self.unit.startswith(OF_LXC) and self.unit.endswith(SERVICE)
        self.lxc = self.unit[len(OF_LXC):-len(SERVICE)] if is_of_lxc else ""  # the container's name there

    def bound(self, patience: "float") -> "None":
        self.patience = patience

    def answers(self) -> "bool":
        try:
            return bool(self.known())
        except EngineDown:
            return False

    # What is known

    def known(self, patience: "Optional[float]" = None) -> "Dict[str, str]":
        told = self.answer(["systemctl", "show", "--property=" + ",".join(PROPERTIES), "--", self.unit], patience)
        return dict(line.partition("=")[::2] for line in told.splitlines())

    def answer(self, argv: "Sequence[str]", patience: "Optional[float]" = None) -> "str":
        """Return what a program prints.  Raises EngineDown where it does not end in time."""
        promise = Promise(self, argv, is_heard=True)
        if not promise.comes(self.patience if patience is None else patience):
            promise.end()
            raise EngineDown("systemd does not answer: '{}' takes longer than {:g} s".format(
                " ".join(argv), self.patience if patience is None else patience))
        return promise.text()

    def look(self, name: "str", patience: "Optional[float]" = None) -> "Optional[Seen]":
        if name not in (WORKLOAD, self.unit):
            return None
        known = self.known(patience)
        if known.get("LoadState") in (None, "not-found", "masked", "bad-setting", "error"):
            return None
        found = self.seen(known)
        found.specification, found.identity = self.specification, self.unit
        return found

    def seen(self, known: "Dict[str, str]") -> "Seen":
        """Return what the unit's properties mean, but for what it was made from."""
        is_running = known["ActiveState"] in RUNNING and known["SubState"] not in BETWEEN
        is_paused = is_running and (known.get("FreezerState") in FROZEN or self.is_frozen_by_lxc())
        status = int(known["ExecMainStatus"] or 0) + (128 if known["ExecMainCode"] in KILLED else 0)
        if known["ActiveState"] == "failed" and not status:
            status = 1
        return Seen(is_running, is_paused, "", "{}/{}".format(known["MainPID"], known["InvocationID"]) if is_running else "",
                    status=status, out_of_memory=known["Result"] == OUT_OF_MEMORY, known=known)

    def peek(self, name: "str") -> "Optional[Seen]":
        return self.look(name)

    def is_frozen_by_lxc(self) -> "bool":
        return bool(self.lxc) and self.answer(["lxc-info", "--name", self.lxc, "--state", "--no-humanize"]).strip() == "FROZEN"

    def is_alive(self, life: "str") -> "bool":
        pid, _, run = life.partition("/")
        if pid != "0":
            return is_alive(int(pid))
        seen = self.look(self.unit)
        return seen is not None and seen.life == life

    def process(self, life: "str") -> "Optional[int]":
        return int(life.partition("/")[0]) or None

    def descriptor_of_end(self, life: "str") -> "Optional[int]":
        process = self.process(life)
        return None if process is None else descriptor_of_end(process)

    def addresses(self, seen: "Seen") -> "List[str]":
        if self.address:
            return [self.address]
        from engines.networks import OF_HOST, addresses_of, within

        deadline, process = time.monotonic() + ADDRESS_PATIENCE, self.process(seen.life)
        found: "List[str]" = []
        while process is not None and is_alive(process) and not found and time.monotonic() < deadline:
            found = addresses_of(process, self.ports, self.datagrams)
            if not found:
                time.sleep(LOOK)
        if not found and (process is None or within(process) is None):
            return OF_HOST  # it does not listen yet, or nobody knows who does
        if not found:
            raise Failure("{} has a network of its own, and got no address there within {:g} s; give it one, or declare its "
                          "'address'".format(self.unit, ADDRESS_PATIENCE))
        return found

    def is_left(self) -> "bool":
        return os.path.exists(LEAVE)

    def is_used(self, life: "str") -> "bool":
        process, user = self.process(life), self.answer(["systemctl", "show", "--property=UID", "--value", "--", PROXY]).strip()
        if process is None:
            return False
        from engines.networks import has_other_clients

        return has_other_clients(process, self.ports, int(user) if user.isdigit() else None)

    def last_words(self, name: "str") -> "bytes":
        try:
            return self.answer(["journalctl", "--output=cat", "--lines=" + LAST_LINES, "--unit=" + self.unit]).encode("utf-8")
        except EngineDown:
            return b""

    # A life

    def begin(self, name: "str") -> "Pending":
        return Promise(self, ["systemctl", "start", "--", self.unit], RUNNING)

    def output(self, name: "str", seen: "Seen", reads: "bool" = True) -> "Output":
        return Ending(self)

    def begin_stop(self, name: "str") -> "Pending":
        # It is the end of the unit that is awaited, not that of the program.
        return Promise(self, ["systemctl", "stop", "--no-block", "--", self.unit], STOPPED)

    def stop(self, name: "str") -> "None":
        if self.is_left():
            return
        seen = self.look(name)
        if seen is not None and seen.is_paused:
            self.thaw(name)  # systemd stops nothing that is frozen
        Promise(self, ["systemctl", "stop", "--", self.unit], STOPPED).done()

    def freeze(self, name: "str") -> "None":
        self.pause_or_resume("freeze", True)

    def thaw(self, name: "str") -> "None":
        self.pause_or_resume("unfreeze" if self.lxc else "thaw", False)

    def pause_or_resume(self, verb: "str", is_to_be_paused: "bool") -> "None":
        argv = ["lxc-" + verb, "--name", self.lxc] if self.lxc else ["systemctl", verb, "--", self.unit]
        said = self.answer(argv)
        seen = self.look(self.unit)
        if seen is not None and seen.is_running and seen.is_paused != is_to_be_paused:
            raise EngineError(" ".join(said.split()) or "'{}' did nothing".format(" ".join(argv)))

    def await_end(self, name: "str", patience: "float") -> "None":
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            seen = self.look(name, patience)
            if seen is None or not seen.is_running:
                return
            time.sleep(LOOK)

    # What is there already

    def advice(self) -> "str":
        known = self.known()
        if known.get("LoadState") != "loaded":
            return NOT_THERE.format(self.unit)
        if known.get("UnitFileState") == "enabled":
            return ("{0} is enabled: from each boot on it runs, and sleeps only once it was connected to; run 'systemctl disable "
                    "{0}' to have connections alone start it".format(self.unit))
        return ""

    def has_image(self, image: "str") -> "bool":
        return True  # none is needed

    def make(self, name: "str", wanted: "Wanted") -> "None":
        raise Failure(NOT_THERE.format(self.unit))

    def remove(self, name: "str") -> "None":
        """Leave it as it is, but let it go on where it sleeps paused: nobody would wake it any more."""
        seen = self.look(name)
        if seen is not None and seen.is_paused:
            self.thaw(name)


class Promise(Pending):
    """A program that asks systemd for something; what comes of it is the state of the unit."""

    def __init__(self, engine: "Unit", argv: "Sequence[str]", wanted: "Sequence[str]" = (), is_heard: "bool" = False) -> "None":
        self.engine = engine
        self.wanted = wanted
        self.found = b""  # what it has said until now
        self.said, told = os.pipe2(os.O_CLOEXEC)
        self.child = programs.start(argv, told, told if is_heard else None)
        os.close(told)

    def fileno(self) -> "int":
        return self.said

    def comes(self, patience: "float") -> "bool":
        """Wait for the end of the program; return whether it came in time."""
        poll, deadline = select.poll(), time.monotonic() + patience
        poll.register(self.said, select.POLLIN)
        while True:
            if not poll.poll(max(0, int(1000 * (deadline - time.monotonic())))):
                return False
            block = os.read(self.said, 65536)
            if not block:
                return True
            self.found += block

    def end(self) -> "None":
        os.kill(self.child, 9)
        self.text()

    def text(self) -> "str":
        os.close(self.said)
        programs.wait(self.child)
        return self.found.decode("utf-8", "replace")

    def done(self) -> "None":
        self.comes(float(2 ** 20))
        said = self.text()
        known = self.engine.known() if self.wanted else {}
        if self.wanted and known.get("ActiveState") not in self.wanted:
            raise EngineError(" ".join(said.split()) or "{} is {}".format(self.engine.unit, known.get("ActiveState")))


class Ending(Output):
    """The end of a run of the unit: what it writes goes its own way."""

    is_in_journal = True

    def __init__(self, engine: "Unit") -> "None":
        self.engine = engine
        self.epoll = select.epoll()
        self.end: "Optional[int]" = None

    def begins(self, seen: "Seen") -> "None":
        self.end = self.engine.descriptor_of_end(seen.life) if seen.is_running else at_its_end()
        if self.end is not None:
            self.epoll.register(self.end, select.EPOLLIN)

    def fileno(self) -> "int":
        return self.epoll.fileno()

    def read(self) -> "Optional[List[Tuple[int, bytes]]]":
        return None if self.epoll.poll(0) else []

    def has_more(self) -> "bool":
        return False

    def close(self) -> "None":
        if self.end is not None:
            os.close(self.end)
            self.end = None
        self.epoll.close()


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Sequence, Tuple

    from engines import Wanted
