"""Companions of this package's service: started with it, kept running while it is awake, and left alone once it sleeps.

Knows when one has to be looked for, started, or started again after it has died; hides their control sockets.  Each of them ends
by itself once nobody holds a connection to it any more.  Nothing here waits, unless a companion must be ready first.
"""

import time

import programs
import words
from attending import BEFORE, COMPANION, attendants
from control import Client
from names import NAME, units_of
from outcome import last_end
from required import STATE, await_ready, refuse_cycle

LOOK = 0.05  # seconds until it is looked again whether one that was started is there
START_AGAIN = 5.0  # seconds until one that does not come is started once more: systemd may have taken its last life for this one
LEAST_BACK_OFF, LONGEST_BACK_OFF = 1.0, 30.0  # seconds until one that has ended is started again
FIRST_FAILURE = 0.1  # seconds; doubled with each failure in a row, as relay_life.py does


class Companions:
    """Those of one service, while that is awake."""

    def __init__(self, service: "str" = NAME) -> "None":
        self.service = service
        self.held: "Dict[int, Tuple[str, Client]]" = {}  # by descriptor
        self.due: "Dict[str, float]" = {}  # when to look for those that are not held
        self.started: "Dict[str, float]" = {}  # when each was last asked for

    def hold(self) -> "None":
        """Start them; wait for those that must be ready first.  Raises Failure."""
        found = {name: told for name, told in attendants(self.service).items() if told[0] == COMPANION}
        if not found:
            return
        self.due = dict.fromkeys(found, 0.0)
        before = [name for name, told in found.items() if BEFORE in told]
        if before:
            refuse_cycle(before)
            self.see_to()
        for name in before:
            self.keep(name, await_ready(name, True, "companion"))

    def release(self) -> "None":
        """Let them go: those that nobody else needs end."""
        for _, connection in self.held.values():
            connection.close()
        self.held, self.due, self.started = {}, {}, {}

    def descriptors(self) -> "List[int]":
        """Return the descriptors that become readable when a companion says something, or ends."""
        return list(self.held)

    def hear(self, descriptor: "int") -> "None":
        """Heed one; it is looked for again, after a while, where it has ended or is about to."""
        name, connection = self.held[descriptor]
        told = connection.receive()
        if told and told[0] not in (words.STOPPING, words.LEAVING, words.FAILED):
            return
        del self.held[descriptor]
        connection.close()
        self.due[name] = time.monotonic() + back_off(name)
        self.started.pop(name, None)

    def see_to(self) -> "Optional[int]":
        """Look for those that are due; return after how many milliseconds to come back, or None."""
        for name, moment in list(self.due.items()):
            if moment <= time.monotonic():
                self.look_for(name)
        return max(1, int(1000 * (min(self.due.values()) - time.monotonic())) + 1) if self.due else None

    def look_for(self, name: "str") -> "None":
        try:
            connection = Client(STATE + name + "/control")
        except OSError:
            if name not in attendants(self.service):
                del self.due[name]  # its package was removed
                return
            if time.monotonic() - self.started.get(name, -START_AGAIN) >= START_AGAIN:
                self.started[name] = time.monotonic()
                start(name)
            self.due[name] = time.monotonic() + LOOK
        else:
            connection.tell(words.HOLD)
            self.keep(name, connection)

    def keep(self, name: "str", connection: "Client") -> "None":
        """Hold a connection, one for each."""
        self.due.pop(name, None)
        if name in (other for other, _ in self.held.values()):
            connection.close()
        else:
            self.held[connection.socket.fileno()] = (name, connection)


def back_off(name: "str") -> "float":
    """Return for how many seconds one that has ended is left alone."""
    failures = last_end(STATE + name + "/end")[0]
    return max(LEAST_BACK_OFF, min(LONGEST_BACK_OFF, FIRST_FAILURE * 2.0 ** min(failures - 1, 16)))


def start(name: "str") -> "None":
    """Have systemd start one; nobody waits for that."""
    programs.start_alone(["systemctl", "--no-block", "start", units_of(name) + "-container.service"])


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Tuple
