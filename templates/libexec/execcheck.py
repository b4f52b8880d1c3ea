"""Whether a command in the container ends with status 0: a declared one, or the image's own health check.

Knows how the engine runs a command in a container (Engine API, "Exec") and what a health check says (HEALTHCHECK of the
Dockerfile reference); hides the command's output, of which the last line is kept.
"""

import os
import select
import signal
import time

from engine import Engine, EngineDown, EngineError, Output, receive
from names import CONTAINER, Failure

LOOK = 0.01  # seconds between two looks
END_LOOK = 0.002  # the same where the command's output has ended and its status is not known yet
ENGINE_PATIENCE = 30.0  # seconds within which the engine must answer
LONGEST_RUN = 30.0  # seconds after which a command is killed; the engine's own value for health checks that name none
LAST_WORDS = 400  # bytes of the output that are kept


class ExecCheck:
    """Runs of one command, one at a time; ``look`` tells whether one has succeeded."""

    def __init__(self, argv, longest=LONGEST_RUN, engine=None):
        self.argv = argv
        self.longest = longest
        self.engine = engine or Engine()
        self.what = "succeed in '{}'".format(" ".join(argv))
        self.last = "it was not run yet"
        self.id = None  # of the run that is not over
        self.connection = None
        self.since = 0.0

    def look(self):
        """Return whether the command has succeeded; come back after LOOK, or what the engine needs to begin."""
        try:
            if self.id is None:
                self.begin()
            if self.connection is not None:
                return self.hear()
            return self.ended()
        except (EngineDown, EngineError) as error:
            self.last = str(error)
            self.give_up()
            time.sleep(LOOK)
            return False

    def begin(self):
        self.words = b""
        self.output = Output(multiplexed=True)
        self.since = time.monotonic()
        wanted = {"AttachStdout": True, "AttachStderr": True, "Cmd": self.argv}
        self.id = self.engine.call("POST", "/containers/{}/exec".format(CONTAINER), ENGINE_PATIENCE, wanted)["Id"]
        self.connection, rest = self.engine.stream("/exec/{}/start".format(self.id), ENGINE_PATIENCE, {"Detach": False})
        self.keep(rest)

    def hear(self):
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        if poll.poll(LOOK * 1000):
            data = receive(self.connection)
            self.keep(data)
            if not data:
                self.connection.close()
                self.connection = None
        if time.monotonic() - self.since > self.longest:
            self.kill()
        return False

    def keep(self, data):
        for _, piece in self.output.feed(data):
            self.words = (self.words + piece)[-LAST_WORDS:]

    def ended(self):
        """Return whether the command has ended with status 0, its output having ended before."""
        state = self.engine.call("GET", "/exec/{}/json".format(self.id), ENGINE_PATIENCE)
        if state["Running"] or state["ExitCode"] is None:
            time.sleep(END_LOOK)
            if time.monotonic() - self.since > self.longest:
                self.kill()
            return False
        self.id = None
        if state["ExitCode"] == 0:
            return True
        said = " ".join(self.words.decode("utf-8", "replace").strip().rpartition("\n")[2].split())
        self.last = "exit status {}{}".format(state["ExitCode"], ', "{}"'.format(said) if said else "")
        time.sleep(LOOK)
        return False

    def kill(self):
        """End a command that takes too long: the engine has no request for that."""
        state = self.engine.call("GET", "/exec/{}/json".format(self.id), ENGINE_PATIENCE)
        if state["Running"] and state.get("Pid"):
            try:
                os.kill(state["Pid"], signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.last = "no end within {:g} s".format(self.longest)
        self.give_up()

    def give_up(self):
        self.id = None
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def health_check(engine=None):
    """Return the check that the image, or an option of its creation, declares.  Raises Failure where there is none."""
    engine = engine or Engine()
    config = (engine.inspect(CONTAINER) or {}).get("Config") or {}
    declared = config.get("Healthcheck") or {}
    kind, *argv = declared.get("Test") or ["NONE"]
    if kind == "CMD-SHELL":
        argv = (config.get("Shell") or ["/bin/sh", "-c"]) + argv
    elif kind != "CMD" or not argv:
        raise Failure("its image has no health check; declare another kind of readiness, such as ready = \"tcp\"")
    return ExecCheck(argv, declared.get("Timeout", 0) / 1e9 or LONGEST_RUN, engine)
