"""How the end of one run of the workload is noticed, whatever the engine says.

Knows that the kernel shows the end of a process, that the output ends with it unless the engine hangs, and that an engine that
goes away can take its workloads with it; hides descriptors.
"""

import os
import select
import time

from engines import EngineDown, EngineError
from process import Failure, say

OUTPUT_PATIENCE = 3.0  # seconds for which the output of a dead workload may go on: the engine closes it, unless it hangs
END_PATIENCE = 10.0  # seconds within which an engine must answer, and know that a workload is dead
END_LOOK = 1.0  # seconds until it is looked whether it was started again meanwhile: the engine would await that end
KILLED = 128 + 9  # the status of what was killed
LIFE_LOOK = 1.0  # seconds until it is looked again whether it lives, where the kernel does not tell


class Vigil:
    """One run of a workload, or what is about to become one: its output, its end, and the engine under it."""

    def __init__(self, engine: "Engine", output: "Output", presence: "Optional[Presence]" = None) -> "None":
        self.engine = engine
        self.output = output
        self.presence = presence
        self.life = ""
        self.end: "Optional[int]" = None  # a descriptor that becomes readable at its end
        self.dead_since: "Optional[float]" = None

    def begins(self, seen: "Seen") -> "None":
        """Watch it from now on: it runs, or has ended already."""
        self.output.begins(seen)
        self.life = seen.life
        if self.life:
            self.end = self.engine.descriptor_of_end(self.life)

    def is_dead(self) -> "bool":
        return bool(self.life) and not self.engine.is_alive(self.life)

    def is_alive(self) -> "bool":
        """Return whether it runs; it may have ended before it was seen to."""
        return bool(self.life) and self.engine.is_alive(self.life)

    def has_left(self) -> "bool":
        """Return whether what answers at the engine's place now is another engine than before."""
        return self.presence is not None and self.presence.has_left()

    def is_leaving(self) -> "bool":
        """Return whether the engine went away before it has taken notice of the end of a workload that is dead.

        An engine that is about to end takes no new connection from before it stops its workloads.  So whoever answers one now
        is the engine as before, under which the workload has ended by itself, or the next one, before which that one had to end.
        """
        return self.presence is not None and (not self.engine.answers() or self.presence.has_left())

    def sees_end(self) -> "None":
        """It is dead; what it has written is still to come."""
        self.dead_since = self.dead_since or time.monotonic()

    def pass_time(self) -> "Optional[int]":
        """See whether it is dead where the kernel does not tell; return after how many milliseconds to come back, or None."""
        if self.end is None and self.is_dead():
            self.sees_end()
        if self.dead_since is not None:
            return max(0, int(1000 * (self.dead_since + OUTPUT_PATIENCE - time.monotonic()))) + 1
        return int(1000 * LIFE_LOOK) if self.life and self.end is None else None

    def is_silent(self) -> "bool":
        """Return whether it is dead, and no more of its output will come."""
        return self.dead_since is not None and time.monotonic() >= self.dead_since + OUTPUT_PATIENCE

    def close(self) -> "None":
        self.output.close()
        if self.end is not None:
            os.close(self.end)
            self.end = None
        if self.presence is not None:
            self.presence.close()
            self.presence = None


def goes_on(engine: "Engine", workload: "str", deadline: "float") -> "bool":
    """Return whether a workload runs that does as the engine says, which is made to find out where its process is dead.

    Raises Failure where it does not until the deadline (time.monotonic()).
    """
    asked: "Optional[Pending]" = None
    while True:
        seen = engine.look(workload)
        if seen is None or not seen.is_running:
            return False
        if engine.is_alive(seen.life):
            return True
        if time.monotonic() > deadline:
            raise Failure("the {} engine takes the container for running, though its process has ended; restart the "
                          "engine".format(engine.title))
        if asked is None:
            say("the {} engine does not know yet that the container has ended".format(engine.title))
            asked = engine.begin_stop(workload)
        poll = select.poll()
        poll.register(asked.fileno(), select.POLLIN)
        if poll.poll(1000):
            try:
                asked.done()
            except (EngineDown, EngineError):
                time.sleep(1)
            asked = None


def end_of(engine: "Engine", workload: "str") -> "Optional[Seen]":
    """Return what the engine knows of a workload that seems to have ended, as soon as it knows; that it runs, where it lives.

    That one has ended which is dead, whatever the engine says: without a status then.
    """
    deadline = time.monotonic() + END_PATIENCE
    seen = engine.look(workload, END_PATIENCE)
    while seen is not None and seen.is_running and not engine.is_alive(seen.life):
        if time.monotonic() > deadline:
            seen.is_running, seen.life, seen.status = False, "", KILLED
            break
        engine.await_end(workload, min(END_LOOK, END_PATIENCE))
        seen = engine.look(workload, END_PATIENCE)
    return seen


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from engines import Engine, Output, Pending, Presence, Seen
