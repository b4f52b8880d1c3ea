"""What `run` leaves to others while it starts a container.

Knows how waitport, `container wake` and systemd are set to work beside it; hides processes.
"""

import os

from control import Client
from names import HERE, PACKAGE, UNITS, Failure, write_all

ERROR, MOST_FILES = 2, 256  # the last of the standard descriptors, and more than `run` opens


class Told(Failure):
    """A failure that another helper has told already."""


def wait_beside(arguments):
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
        path = os.path.join(HERE, "waitport")
        with open(path) as source:
            program = {"__name__": "waitport", "__doc__": ""}
            exec(compile(source.read(), path, "exec"), program)
        status = program["main"](arguments)
    except Exception as error:
        Client().tell("failed waitport broke off: {!r}".format(error))
    finally:
        os._exit(status)


def make_container():
    """Make the container; raise Told with what was said last, where it could not be made."""
    import subprocess

    maker = subprocess.Popen([os.path.join(HERE, "container"), "wake"], stderr=subprocess.PIPE)
    line = b""
    for line in maker.stderr:
        write_all(ERROR, line)
    if maker.wait():
        raise Told(line.decode("utf-8", "replace").strip().replace(PACKAGE + ": ", "", 1))


def restart_service():
    """Have systemd start the container's service anew."""
    import subprocess

    subprocess.call(["systemctl", "--no-block", "restart", UNITS + "-container.service"])
