"""task - run the container of this package to its end, once a version or at each wake of what waits for it.

Usage: task [--require NAME]... [--network-of NAME] --when version|wake --timeout SECONDS VERSION

The main process of a task's container service (ExecStart=).  Knows what is success, where it is noted so that it outlives the
package, and that one task at a time runs on a host; hides what it shares with every other start, which is in run.py.
"""

import os
import time

from names import DONE, LOCKS, STATE
from outcome import tell_end
from process import Failure, is_locked, live, say, usage
from run import Run
from run_life import Life
from run_states import ENDED, GAVE_UP, GONE_SOON, STARTING
from tasks import EACH, VERSION, is_done

TURN_PATIENCE = 3600.0  # seconds for which other tasks of the host are waited for
LOOK = 0.1  # seconds until it is looked again whether it is its turn
MOST_VERSIONS = 1000  # that are remembered


class Done(Exception):
    """There is nothing to do."""


class Turn:
    """One task of the host at a time; ends with the process.  Raises Failure where another one does not end."""

    def __enter__(self) -> "None":
        begin = time.monotonic()
        while True:
            os.makedirs(LOCKS, 0o700, exist_ok=True)
            self.descriptor = os.open(LOCKS, os.O_RDONLY | os.O_CLOEXEC)  # nobody but root can open it
            while not is_locked(self.descriptor):
                if time.monotonic() - begin > TURN_PATIENCE:
                    raise Failure("other tasks of this host did not end within {:g} s".format(TURN_PATIENCE))
                time.sleep(LOOK)
            try:
                if os.path.samestat(os.fstat(self.descriptor), os.stat(LOCKS)):
                    return
            except FileNotFoundError:
                pass  # the last package that had its lock there was removed
            os.close(self.descriptor)

    def __exit__(self, *_: "object") -> "None":
        os.close(self.descriptor)


class TaskLife(Life):
    """From before its start to its end, which is what it is for."""

    version = ""

    def dies(self) -> "None":
        """It has ended; the engine says how."""

    def ends(self, seen: "Seen", with_engine: "bool" = False, with_gateway: "bool" = False) -> "int":
        if self.state == STARTING and seen.status == 0 and not seen.is_running:
            self.state = ENDED
            note_done(self.version)
            tell_end(0)
            say("the task of version {} has ended successfully".format(self.version))
            return 0
        self.happen(GONE_SOON, seen)
        return 1

    def fail_by_exit(self, seen: "Seen") -> "None":
        self.blame("it exited with status {}; {}".format(seen.status, self.quoted_last_words()))
        self.name_memory(seen)
        self.fail()

    def finish(self, _: "Optional[Seen]" = None) -> "None":
        """It was stopped: neither success nor its own failure."""
        self.reason = "it was stopped before its end"


class Task(Run):
    """The process of a task."""

    LIFE = TaskLife
    BEGINS_AGAIN = False  # whoever waits for it decides

    def __init__(self, engine: "Engine", required: "Sequence[str]", when: "str", timeout: "float", version: "str",
                 network_of: "str" = "") -> "None":
        super().__init__(engine, required=required, is_companion=True, network_of=network_of)
        assert isinstance(self.life, TaskLife)
        self.life.version = version
        self.when = when
        self.timeout = timeout
        self.deadline: "Optional[float]" = None

    def run(self) -> "int":
        try:
            self.refuse_done()
            return super().run()
        except Done:
            self.life.state = ENDED
            return 0

    def await_turn(self) -> "None":
        """Wait in start(): tasks have a turn of their own, one at a time."""

    def start(self) -> "Tuple[Vigil, Seen]":
        Turn().__enter__()  # until this process ends; tasks before this one have had theirs
        self.refuse_done()
        return super().start()

    def refuse_done(self) -> "None":
        if self.when == VERSION and is_done(DONE, self.life_version()):
            raise Done

    def life_version(self) -> "str":
        assert isinstance(self.life, TaskLife)
        return self.life.version

    def see_to_holders(self) -> "Optional[int]":
        """End what takes too long."""
        if self.life.state != STARTING:
            return None
        if self.deadline is None:
            self.deadline = time.monotonic() + self.timeout
        left = self.deadline - time.monotonic()
        if left <= 0:
            self.life.happen(GAVE_UP, "it did not end within {:g} s; if it needs longer, declare task_timeout".format(
                self.timeout))
            return None
        return int(1000 * left) + 1

    def end(self) -> "None":
        """Leave behind for those that wait why it failed."""
        with open(STATE + "/reason", "w", encoding="utf-8", errors="replace") as stream:
            stream.write(self.life.reason)
        super().end()


def note_done(version: "str", path: "str" = DONE) -> "None":
    """Note that the task of a version has succeeded."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        with open(path) as stream:
            done = stream.read().split()
    except FileNotFoundError:
        done = []
    done = [one for one in done if one != version][1 - MOST_VERSIONS:] + [version]
    with open(path + ".new", "w") as stream:
        stream.write("".join(one + "\n" for one in done))
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(path + ".new", path)


def main(argv: "Sequence[str]", engine: "Engine") -> "int":
    required: "List[str]" = []
    when, timeout, network_of, left = "", 0.0, "", list(argv)
    try:
        while left[0].startswith("--"):
            option, value = left.pop(0), left.pop(0)
            if option == "--require":
                required.append(value)
            elif option == "--network-of":
                network_of = value
            elif option == "--when" and value in (VERSION, EACH):
                when = value
            elif option == "--timeout":
                timeout = float(value)
            else:
                raise ValueError(option)
        (version,) = left
        if not when or timeout <= 0:
            raise ValueError("an option is missing")
    except (IndexError, ValueError):
        return usage(__doc__)
    return live(lambda: Task(engine, required, when, timeout, version, network_of))


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Sequence, Tuple

    from engines import Engine, Seen
    from vigil import Vigil
