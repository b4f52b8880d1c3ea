"""Podman's socket, which speaks Docker's API, and the same API without it.

Knows that Podman's service ends where nobody asks it, that systemd starts it again, and how the `podman` command serves the same
requests where neither is there; hides all this from podman.py.  Few imports: a client is waiting while this module loads.
"""

import _socket
import os

from names import LOCKS, NAME

from engines import EngineDown, EngineLeft
from engines.docker_api import VERSION, Api, connected_to

HANDED_OVER = 3  # the first descriptor that a service gets from whom starts it (sd_listen_fds(3))
MOST_FILES = 256  # more than a helper opens
SERVES = 10  # seconds for which a service of our own goes on after the last request
NOT_FOR_IT = ("CONTAINER_", "DOCKER_", "NOTIFY_SOCKET", "LISTEN_", "WATCHDOG_")  # names in the environment begin with these


class PodmanApi(Api):
    """The socket of Podman's service, or else a service of our own."""

    title, unit = "Podman", "podman.socket"

    def __init__(self, path: "str") -> "None":
        super().__init__(path)
        self.own: "Optional[str]" = None  # where a service of our own listens
        self.first: "Optional[Socket]" = None
        try:
            self.first = connected_to(path)  # systemd starts the service for it, while this process is still loading
        except OSError:
            pass

    def known_version(self) -> "str":
        return VERSION

    def speaks_another(self, answer: "bytes") -> "bool":
        return False

    def connected(self, timeout: "Optional[float]" = None) -> "Socket":
        first, self.first = self.first, None
        if first is not None:
            first.settimeout(timeout)
            return first
        try:
            return connected_to(self.own or self.path, timeout)
        except OSError as error:
            reason = error.strerror or str(error)
        try:
            self.own = own_service()
            return connected_to(self.own, timeout)
        except OSError as error:
            raise EngineDown("no Podman engine answers on {} ({}), nor does the podman command ({}); see 'systemctl status "
                             "podman.socket', or install podman".format(self.path, reason, error.strerror or error)) from None

    def ask(self, method: "str", target: "str", timeout: "Optional[float]" = None, body: "Any" = None) -> "Tuple[int, bytes]":
        """Send a request; once more where the service ended in the moment in which it came."""
        try:
            return super().ask(method, target, timeout, body)
        except EngineLeft:
            return super().ask(method, target, timeout, body)


def own_service() -> "str":
    """Let the command serve for a while on a socket of our own, return its path.  Raises OSError.

    The path is that of an open descriptor: nobody else reaches the socket, and nothing of it stays.
    """
    program = found_program("podman")
    if not os.path.isdir(LOCKS):
        os.makedirs(LOCKS, 0o700)
    path = "{}/{}.{}".format(LOCKS, NAME, os.getpid())
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    listener.bind(path)
    try:
        listener.listen(16)
        inode = os.open(path, os.O_PATH | os.O_CLOEXEC)
    finally:
        os.unlink(path)
    if not os.fork():
        try:
            serve(program, listener.fileno())
        finally:
            os._exit(127)
    listener.close()  # with the service, the socket ends
    return "/proc/self/fd/{}".format(inode)


def serve(program: "str", listener: "int") -> "None":
    """Become the service, or what has systemd run it; nothing else is handed on, the package's lock least of all."""
    from engines import beside

    argv = [program, "system", "service", "--time={}".format(SERVES)]
    if beside.is_bounded():
        environ = own_environment()
        os.dup2(listener, 0)
        os.closerange(HANDED_OVER, MOST_FILES)
        os.execvpe("systemd-run", beside.service(argv, environ), environ)
    os.dup2(listener, HANDED_OVER)
    os.set_inheritable(HANDED_OVER, True)
    os.closerange(HANDED_OVER + 1, MOST_FILES)
    environ = own_environment()
    environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    os.execve(program, argv, environ)


def own_environment() -> "Dict[str, str]":
    """Return an environment for the command that leads it to nobody else's engine."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(NOT_FOR_IT)}
    environ.setdefault("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    environ.setdefault("HOME", "/root")
    return environ


def found_program(name: "str") -> "str":
    """Return the path of a program.  Raises FileNotFoundError."""
    for directory in own_environment()["PATH"].split(":"):
        if os.access(os.path.join(directory, name), os.X_OK):
            return os.path.join(directory, name)
    raise FileNotFoundError(2, "{} is not installed".format(name))


TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Any, Dict, Optional, Tuple
