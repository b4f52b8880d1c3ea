"""What `run` leaves to others while it starts a container.

Knows how waitport, `container wake` and systemd are set to work beside it; hides processes.
"""

import os

import words
from control import Client
from names import HERE, PACKAGE, UNITS
from process import Failure, write_all

ERROR, MOST_FILES = 2, 256  # the last of the standard descriptors, and more than `run` opens


class Told(Failure):
    """A failure that another helper has reported already."""


def wait_beside(arguments: "Sequence[str]", engine: "Engine") -> "int":
    """Let waitport do its work in a copy of this process: another interpreter would be there ten times as late.

    Return a descriptor that becomes readable when it ends.
    """
    ended, held = os.pipe()
    if os.fork():
        os.close(held)
        return ended
    status = 1
    try:
        os.dup2(held, ERROR + 1)
        os.closerange(ERROR + 2, MOST_FILES)  # what ends with this process's parent must not go on in it
        import waitport

        status = waitport.main(arguments, engine)
    except Exception as error:
        Client().tell("{} the readiness check (waitport) crashed: {!r}".format(words.FAILED, error))
    finally:
        os._exit(status)


def make_container() -> "None":
    """Make the container; raise Told with what was said last, where it could not be made."""
    import subprocess

    maker = subprocess.Popen([os.path.join(HERE, "container"), "wake"], stderr=subprocess.PIPE)
    assert maker.stderr is not None
    line = b""
    for line in maker.stderr:
        write_all(ERROR, line)
    if maker.wait():
        raise Told(line.decode("utf-8", "replace").strip().replace(PACKAGE + ": ", "", 1))


def restart_service() -> "None":
    """Have systemd restart the container's service."""
    import subprocess

    subprocess.call(["systemctl", "--no-block", "restart", UNITS + "-container.service"])


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from engines import Engine
