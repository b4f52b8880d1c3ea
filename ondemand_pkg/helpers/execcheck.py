"""Whether a command in the workload ends with status 0: a declared one, or the image's own health check.

Knows that one run follows the other, and how long one may take; hides the command's output, of which the last line is kept.
"""

import select
import time

from engines import EngineDown, EngineError
from process import Failure

LOOK = 0.01  # seconds between two looks
END_LOOK = 0.002  # the same where the command's output has ended and its status is not known yet
LONGEST_RUN = 30.0  # seconds after which a command is killed; the value that engines have for health checks that name none
LAST_WORDS = 400  # bytes of the output that are kept


class ExecCheck:
    """Runs of one command, one at a time; ``look`` tells whether one has succeeded."""

    def __init__(self, engine: "Engine", workload: "str", argv: "Sequence[str]", longest: "float" = LONGEST_RUN) -> "None":
        self.engine = engine
        self.workload = workload
        self.argv = argv
        self.longest = longest
        self.what = "run '{}' successfully".format(" ".join(argv))
        self.last = "it has not run yet"
        self.command: "Optional[Command]" = None  # the run that is not over
        self.writes = False  # it, its output has not ended
        self.words = b""
        self.since = 0.0

    def look(self) -> "bool":
        """Return whether the command has succeeded; come back after LOOK, or what the engine needs to begin."""
        try:
            if self.command is None:
                self.words = b""
                self.since = time.monotonic()
                self.command = self.engine.run_inside(self.workload, self.argv)
                self.writes = True
            return self.hear(self.command) if self.writes else self.has_succeeded(self.command)
        except (EngineDown, EngineError) as error:
            self.last = str(error)
            self.give_up()
            time.sleep(LOOK)
            return False

    def hear(self, command: "Command") -> "bool":
        poll = select.poll()
        poll.register(command.output.fileno(), select.POLLIN)
        if command.output.has_more() or poll.poll(LOOK * 1000):
            pieces = command.output.read()
            for _, data in pieces or ():
                self.words = (self.words + data)[-LAST_WORDS:]
            if pieces is None:
                command.output.close()
                self.writes = False
        if time.monotonic() - self.since > self.longest:
            self.kill(command)
        return False

    def has_succeeded(self, command: "Command") -> "bool":
        """Return whether the command has ended with status 0, its output having ended before."""
        status = command.status()
        if status is None:
            time.sleep(END_LOOK)
            if time.monotonic() - self.since > self.longest:
                self.kill(command)
            return False
        self.command = None
        if status == 0:
            return True
        said = " ".join(self.words.decode("utf-8", "replace").strip().rpartition("\n")[2].split())
        self.last = "exit status {}{}".format(status, ', "{}"'.format(said) if said else "")
        time.sleep(LOOK)
        return False

    def kill(self, command: "Command") -> "None":
        command.kill()
        self.last = "still running after {:g} s".format(self.longest)
        self.give_up()

    def give_up(self) -> "None":
        if self.command is not None and self.writes:
            self.command.output.close()
        self.command, self.writes = None, False


def health_check(engine: "Engine", workload: "str") -> "ExecCheck":
    """Return the check that the image, or an option of its creation, declares.  Raises Failure where there is none."""
    found = engine.own_check(workload)
    if found is None:
        raise Failure("the image has no health check; declare another readiness check, such as ready = \"tcp\"")
    argv, seconds = found
    return ExecCheck(engine, workload, argv, seconds or LONGEST_RUN)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Sequence

    from engines import Command, Engine
