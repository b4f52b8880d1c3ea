"""Waking and putting to sleep by hand.

Knows how a service is woken without a client, and how it is asked to sleep as its proxy asks after a time without traffic; hides
systemd and the control socket, whose words are those of helpers/words.py (a test compares them).
"""

import os
import socket
import subprocess
import time
from typing import List, NamedTuple

from ondemand_host import checks, sockets, systemd
from ondemand_host.errors import HostError
from ondemand_host.places import installed
from ondemand_host.systemd import Unit

IDLE, WAKE, READY, PAUSED, STOPPING, LEAVING = "idle", "wake", "ready", "paused", "stopping", "leaving"
LOOK = 0.05  # seconds until it is looked again how a unit does
THAW_PATIENCE = 30.0  # seconds in which what is paused must be awake
SLEEP_PATIENCE = 600.0  # seconds in which a container must have stopped; its own time for that ends earlier


class Outcome(NamedTuple):
    """What came of a wish: a line for the user, and whether it is fulfilled."""

    text: "str"
    is_done: "bool"


def require_root() -> "None":
    """Raise HostError unless root asks: nobody else may start and stop services."""
    if os.getuid() != 0:
        raise HostError("only root can wake services and put them to sleep; run the command as root")


def wake(packages: "Sequence[Installed]") -> "Iterator[Outcome]":
    """Wake some services at once, and wait for each until it is ready."""
    begin = time.monotonic()
    before = _states(packages)
    starts = {one.name: subprocess.Popen(["systemctl", "start"] + list(one.units[-2:]), stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for one in packages}
    for one in packages:
        _, said = starts[one.name].communicate()
        if starts[one.name].returncode:
            yield Outcome("{}: {}".format(one.name, _why(one, said.decode("utf-8", "replace"))), False)
        elif one.schedule:
            yield Outcome("{}: has run to its end".format(one.name), True)
        elif one.task_before:
            yield Outcome("{}: has succeeded for version {}".format(one.name, one.version), True)
        elif before[one.container].active != "active":
            yield Outcome("{}: awake after {:.1f} s".format(one.name, time.monotonic() - begin), True)
        elif before[one.container].status == "paused" and not _thaw(one):
            yield Outcome("{0}: does not resume; see 'ondemand logs {0}'".format(one.name), False)
        else:
            yield Outcome("{}: {}".format(one.name, "awake after {:.1f} s".format(time.monotonic() - begin)
                                          if before[one.container].status == "paused" else "was awake already"), True)


def _why(package: "Installed", said: "str") -> "str":
    """Return why a wake failed: by its record, or else by what systemctl said."""
    records = [one for one in systemd.records([package.name], "-1h") if one.failed]
    lines = said.strip().splitlines()
    reason = " ".join(records[0].reason.split()) if records else (lines or ["it could not be started"])[0]
    return "{}; see 'ondemand logs {}'".format(reason, package.name)


def sleep(packages: "Sequence[Installed]", is_forced: "bool") -> "Iterator[Outcome]":
    """Put some services to sleep, those that require others first; with open connections only if it is forced."""
    for one in _by_requirement(packages):
        unit = _states([one])[one.container]
        if unit.active not in ("active", "reloading"):
            yield Outcome("{}: {}".format(one.name, "is {}, try again".format(unit.active) if unit.active in (
                "activating", "deactivating") else "was asleep already"), unit.active not in ("activating", "deactivating"))
        elif unit.status == "paused":
            yield Outcome("{}: was asleep already (paused)".format(one.name), True)
        else:
            open_now = sum(sockets.connections(systemd.units([one.socket]).get(one.socket, Unit()).listen).values())
            if open_now and not is_forced:
                yield Outcome("{}: {} open connection{} it awake; wait for the end, or cut with --force".format(
                    one.name, open_now, " keeps" if open_now == 1 else "s keep"), False)
            else:
                yield _ask_to_sleep(one)


def _ask_to_sleep(package: "Installed") -> "Outcome":
    try:
        answer = _answer(package, IDLE, (PAUSED, STOPPING, LEAVING), SLEEP_PATIENCE)
    except OSError as error:
        return Outcome("{0}: its helper does not answer ({1}); see 'ondemand logs {0}'".format(package.name, error), False)
    if answer == READY:
        return Outcome("{}: {} it awake".format(package.name, _holders(package)), False)
    deadline = time.monotonic() + SLEEP_PATIENCE
    while answer != PAUSED and _states([package])[package.container].active not in ("inactive", "failed"):
        if time.monotonic() > deadline:
            return Outcome("{0}: does not stop; see 'ondemand logs {0}'".format(package.name), False)
        time.sleep(LOOK)
    return Outcome("{}: asleep{}".format(package.name, " (paused)" if answer == PAUSED else ""), True)


def _holders(package: "Installed") -> "str":
    names = [name for name, other in installed().items() if package.name in checks.declared(other, "requires")
             and _states([other])[other.container].active != "inactive"]
    if not names:
        return "another service keeps"
    return "{}, which require{} it, keep{}".format(" and ".join(sorted(names)), "s" if len(names) == 1 else "",
                                                   "s" if len(names) == 1 else "")


def _thaw(package: "Installed") -> "bool":
    try:
        return _answer(package, WAKE, (READY,), THAW_PATIENCE) == READY
    except OSError:
        return False


def _answer(package: "Installed", wish: "str", wanted: "Tuple[str, ...]", patience: "float") -> "str":
    """Tell `run` something; return its first word about it: one that is wanted, STOPPING at its end, READY where it declines."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
        channel.settimeout(patience)
        channel.connect(os.path.join(package.state, "control"))
        told = False
        while True:
            word = channel.recv(4096).decode("utf-8", "replace").partition(" ")[0]
            if not word:
                return STOPPING
            if told and (word in wanted or word == READY):
                return word
            if word in (READY, PAUSED) and not told:  # how it did when it was asked
                channel.send(wish.encode("ascii"))
                told = True
            elif word in (STOPPING, LEAVING):
                return word


def _states(packages: "Sequence[Installed]") -> "Dict[str, Unit]":
    found = systemd.units([one.container for one in packages])
    return {one.container: found.get(one.container, Unit()) for one in packages}


def _by_requirement(packages: "Sequence[Installed]") -> "List[Installed]":
    """Return packages so that each comes before those that it requires; a dependency cycle is in any order."""
    known = {one.name: one for one in packages}
    done: "List[Installed]" = []

    def add(one: "Installed", way: "Tuple[str, ...]") -> "None":
        if one not in done and one.name not in way:
            for name in checks.declared(one, "requires"):
                if name in known:
                    add(known[name], way + (one.name,))
            done.append(one)

    for one in packages:
        add(one, ())
    return done[::-1]


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterator, Sequence, Tuple

    from ondemand_host.places import Installed
