"""What `run` leaves to others while it starts a container.

Knows how waitport, `container wake` and systemd are set to work beside it; hides processes.
"""

import _signal
import os
import select

import programs
import words
from control import Client
from engines import EngineLeft
from names import HERE, PACKAGE, UNITS
from process import ENGINE_LEFT, Failure, write_all

ERROR, MOST_FILES = 2, 256  # the last of the standard descriptors, and more than `run` opens


class Told(Failure):
    """A failure that another helper has reported already."""


def wait_beside(arguments: "Sequence[str]", engine: "Engine", workload: "str") -> "Tuple[int, int]":
    """Let waitport do its work in a copy of this process: another interpreter would be there ten times as late.

    Return its process ID, and a descriptor that becomes readable when it ends.
    """
    ended, held = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child:
        os.close(held)
        return child, ended
    status = 1
    try:
        os.dup2(held, ERROR + 1)
        os.closerange(ERROR + 2, MOST_FILES)  # what ends with this process's parent must not go on in it
        import waitport

        status = waitport.main(arguments, engine, workload)
    except Exception as error:
        Client().tell("{} the readiness check (waitport) crashed: {!r}".format(words.FAILED, error))
    finally:
        os._exit(status)


def end_child(child: "int", ended: "int") -> "None":
    """End what goes on beside this process, and close the descriptor of its end; after that it says nothing more."""
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    if not poll.poll(0):  # else its number may be that of another process
        os.kill(child, 9)
        poll.poll()
    os.close(ended)


def heed_signals_no_more() -> "None":
    """From now on signals do what they did before the start; one that came until now is in the pipe of `run`."""
    _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    _signal.set_wakeup_fd(-1)


def make_container() -> "None":
    """Make the container.  Raises EngineLeft where the engine went away over it, Told with what was said last where it failed."""
    said, told = os.pipe2(os.O_CLOEXEC)
    maker = programs.start([os.path.join(HERE, "container"), "wake"], told)
    os.close(told)
    line = b""
    with open(said, "rb") as lines:
        for line in lines:
            write_all(ERROR, line)
    status = programs.status(maker)
    if status:
        reason = line.decode("utf-8", "replace").strip().replace(PACKAGE + ": ", "", 1)
        raise EngineLeft(reason) if status == ENGINE_LEFT else Told(reason)


def restart_service() -> "None":
    """Have systemd restart the container's service."""
    programs.wait(programs.start(["systemctl", "--no-block", "restart", UNITS + "-container.service"]))


def start_proxy() -> "None":
    """Have systemd start the proxy's service, unless it runs."""
    programs.wait(programs.start(["systemctl", "--no-block", "start", UNITS + ".service"]))


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence, Tuple

    from engines import Engine
