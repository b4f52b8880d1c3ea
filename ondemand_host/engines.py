"""Which containers of the packages run, by the word of the engines.

Knows the one request that Docker answers; hides HTTP.  Everything else about an engine is known to the helpers
of each package (`container look`).
"""

import http.client
import json
import socket
from typing import Optional, Set

DOCKER, DOCKER_SOCKET = "docker.service", "/run/docker.sock"
LABEL = "ondemand.spec"
_TARGET = '/v1.41/containers/json?filters={"label":["' + LABEL + '"]}'
_PATIENCE = 5.0  # seconds for an answer


class _Connection(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: "str") -> None:
        super().__init__("localhost", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_PATIENCE)
        self.sock.connect(self._path)


def running(path: "str" = DOCKER_SOCKET) -> "Optional[Set[str]]":
    """Return the names of the containers of packages that run, None where this user may not ask the engine.

    An engine that its socket unit would start is started by asking it: call this where it runs.
    """
    try:
        return set(_running(path))
    except PermissionError:
        return None
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError):
        return set()  # it is down, and so are its containers


def _running(path: "str") -> "Iterator[str]":
    connection = _Connection(path)
    try:
        connection.request("GET", _TARGET.replace('"', "%22"))
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status == 200:
        for container in json.loads(body.decode("utf-8")):
            yield from (name.lstrip("/") for name in container["Names"])


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator
