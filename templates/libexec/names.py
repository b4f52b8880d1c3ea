"""What belongs to this package on the host, and how its helpers speak.

Knows the package's name by the directory that this file lies in, and the names that follow from it; hides the lock by which
helpers wait for each other.  Few imports here and in all that `run` loads: a client is waiting.
"""

import _socket  # the module `socket` takes as long to load as the interpreter itself
import fcntl
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.basename(HERE)
UNITS = PACKAGE.replace("+", "_")  # systemd and Docker allow no + in their names
CONTAINER = UNITS
ENVIRONMENT_FILE = "/etc/ondemand/{}.env".format(PACKAGE[len("ondemand-"):])
STATE = "/run/{}".format(PACKAGE)
CONTROL = STATE + "/control"  # the socket of control.py
END = STATE + "/end"  # when the container last ended, and how many starts in a row had failed then
OVER = STATE + "/over"  # younger than END once nothing of that life of the service is left


class Failure(Exception):
    """The container can't be had; the text tells the administrator why and what to do."""


class Lock:
    """One of several helpers of the package at a time; ends with the process, leaves no file.

    A child that was handed it, by ``close_fds=False``, holds it on should the helper be killed: `docker create` goes on alone,
    and the next helper waits for what comes of it.
    """

    def __enter__(self):
        self.descriptor = os.open(HERE, os.O_RDONLY)
        os.set_inheritable(self.descriptor, True)
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_):
        os.close(self.descriptor)


def say(message):
    sys.stderr.write("{}: {}\n".format(PACKAGE, message))
    sys.stderr.flush()


def write_all(descriptor, data):
    """Write every byte to a file descriptor."""
    while data:
        data = data[os.write(descriptor, data):]


def notify(state):
    """Tell systemd of a new state, as sd_notify(3) does."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        channel.sendto(state.encode("ascii"), "\0" + address[1:] if address.startswith("@") else address)
        channel.close()


def alive(pid):
    """Return whether a process runs; one that is dead but not yet reaped does not."""
    try:
        with open("/proc/{}/stat".format(pid), "rb") as stat:
            return stat.read().rsplit(b")", 1)[1].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def usage(text):
    """Show the usage paragraph of a helper's docstring; return the exit status of a wrong call."""
    sys.stderr.write(text.split("\n\n")[1] + "\n")
    return 2
