"""Containers of other packages that this one requires: woken with it, and ready before it starts.

Knows that systemd starts their services beside this one (Wants=), and how to see that one is ready, has failed, or was put
to sleep a moment ago and has to be woken once more; hides their control sockets.
"""

import os
import time

import programs
import words
from attending import EXCLUDES, attendants, awaited
from control import Client
from names import NAME, units_of
from outcome import begin_of_process, last_end, now
from process import Failure

HELPERS, STATE = "/usr/libexec/ondemand-", "/run/ondemand-"  # directories of another package, but for its name
PROXIES = ("relay", "proxyd")  # one of these programs has each package to whose container clients connect
LOOK = 0.005  # seconds until it is looked again whether its `run` is there
PATIENCE = 30.0  # seconds in which its `run` must come, be it that it was just being stopped
SURPRISE = 1.0  # seconds after which it is woken once more: it may have ended in the moment in which this wake began
FAILED_PATIENCE = 5.0  # the same where its last start has failed
MOMENT = 0.09  # seconds: what ended that much before this process began has ended after the wake began


class Required:
    """Those that the workload of this package requires; once they are ready, its tasks, and then its companions."""

    def __init__(self, names: "Sequence[str]", companions: "Optional[Companions]" = None,
                 heed: "Callable[[], None]" = lambda: None, excluded: "Optional[Mapping[str, float]]" = None) -> "None":
        self.names = names
        self.excluded = excluded or {}  # seconds for which each one that it excludes is waited for
        self.exclusion: "Optional[Exclusion]" = None
        self.companions = companions
        self.heed = heed  # is called again and again while tasks run
        self.held: "List[Client]" = []  # connections that keep them awake

    def hold(self, wakes: "bool") -> "None":
        """Wait until they are ready, and keep them awake; before, until what this one excludes sleeps.  Raises Failure."""
        found = attendants() if self.companions is not None else {}
        if self.excluded or any(told[0] == EXCLUDES for told in found.values()):
            from exclusion import Exclusion

            self.exclusion = self.exclusion or Exclusion(self.excluded)
            self.exclusion.hold(self.heed)
        if self.names:
            refuse_cycle(self.names)
            self.held = [await_ready(name, wakes) for name in self.names]
        if self.companions is not None and found:
            import tasks

            tasks.run_all(self.heed)
            self.companions.hold()

    def release(self) -> "None":
        for connection in self.held:
            connection.close()
        if self.companions is not None:
            self.companions.release()


def await_ready(name: "str", wakes: "bool", kind: "str" = "required container") -> "Client":
    """Return a connection to the container's `run`, which keeps it awake; raise Failure where it can't be woken.

    ``wakes`` tells whether it has to be woken first, or systemd does that; ``kind`` is what it is called.
    """
    if not os.path.isdir(HELPERS + name):
        raise Failure("the {1} {0!r} is not installed; install ondemand-{0}".format(name, kind))
    state = STATE + name
    begin = now() if wakes else begin_of_process()
    since, woken = time.monotonic(), False
    while True:
        control = None
        try:
            control = Client(state + "/control")
        except OSError:
            pass
        if control is not None and is_ready(control):
            return control
        failures, when = last_end(state + "/end")
        if failures and (when > begin - MOMENT or now() - begin > FAILED_PATIENCE):
            break
        if control is not None:  # it was put to sleep, and its service with it
            begin, since, woken = now(), time.monotonic(), True
            wake(name)
        elif not woken and (wakes or time.monotonic() - since > SURPRISE):
            woken = True
            wake(name)
        elif time.monotonic() - since > PATIENCE:
            break
        time.sleep(LOOK)
    raise Failure("the {} {!r} could not be started; see 'journalctl -u {}-container'".format(kind, name, units_of(name)))


def refuse_cycle(required: "Sequence[str]") -> "None":
    """Raise Failure where what this container requires requires it in turn: each would wait for the other without end.

    The build refuses a cycle among the containers of one run; packages may be built one by one.
    """
    ways = [[NAME, other] for other in required]
    seen: "Set[str]" = set()
    while ways:
        way = ways.pop()
        if way[-1] == NAME:
            raise Failure("dependency cycle ({}): none of these containers can start; install one of the packages without its "
                          "'requires'".format(" -> ".join(way)))
        if way[-1] not in seen:
            seen.add(way[-1])
            ways += [way + [other] for other in required_by(way[-1])]


def required_by(name: "str") -> "List[str]":
    import json

    try:
        with open(HELPERS + name + "/container.json", "rb") as stream:
            return list(json.loads(stream.read().decode("ascii")).get("requires", [])) + awaited(name)
    except (OSError, ValueError):
        return []  # its package is not there, which is reported when it is awaited


def is_ready(control: "Client") -> "bool":
    """Wait until a container is ready, and keep it so; return False where it ends before."""
    control.tell(words.HOLD)
    while True:
        told = control.receive()
        if not told or told[0] == words.FAILED:
            control.close()
            return False
        if told[0] == words.READY:
            return True


def wake(name: "str") -> "None":
    proxies = [units_of(name) + ".service"] if any(
        os.path.exists("{}{}/{}".format(HELPERS, name, proxy)) for proxy in PROXIES) else []
    programs.wait(programs.start(["systemctl", "--no-block", "start"] + proxies + [units_of(name) + "-container.service"]))


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List, Mapping, Optional, Sequence, Set

    from companions import Companions
    from exclusion import Exclusion
