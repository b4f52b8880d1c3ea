"""Which containers run on this host, by the word of the engines.

Knows the requests that Docker answers, and Podman as Docker does; hides HTTP and versions.  Everything else about an engine is
known to the helpers of each package (`container look`).
"""

import http.client
import json
import os
import re
import socket
from typing import NamedTuple, Optional, Set, Tuple

DOCKER, DOCKER_SOCKET = "docker.service", "/run/docker.sock"
SOCKETS = (DOCKER_SOCKET, "/run/podman/podman.sock")
LABEL = "ondemand.spec"
OWN_NETWORK, HOSTS_NETWORK, NO_NETWORK = "own", "host", "none"
_OF_PACKAGES = '?filters={"label":["' + LABEL + '"]}'
_PROJECT, _SERVICE = "com.docker.compose.project=", "com.docker.compose.service="
_FIRST_VERSION = "1.41"  # of the API: the oldest engine's of the supported releases
_OTHER_VERSION = re.compile(r"supported API version is ([0-9]+\.[0-9]+)")  # in a refusal, which names one that is spoken
_PATIENCE = 5.0  # seconds for an answer


class Container(NamedTuple):
    """A container that runs: ``process`` is its first one, ``network`` one of three, ``ports`` what it publishes and declares.

    ``life`` differs from one start to the next.
    """

    name: "str"
    image: "str"
    process: "int"
    life: "str"
    network: "str"
    ports: "Tuple[str, ...]"  # "8080->80/tcp" published, "80/tcp" declared by its image
    is_of_a_package: "bool"


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
        return {name.lstrip("/") for found in _asked(path, "/containers/json" + _OF_PACKAGES) for name in found["Names"]}
    except PermissionError:
        return None
    except _NO_ANSWER:
        return set()  # it is down, and so are its containers


def runs(name: "str", with_docker: "bool") -> "bool":
    """Return whether a container of this name, or of "PROJECT/SERVICE" of Compose, runs, whoever made it.

    One that is paused runs.  Docker is asked where it runs itself.
    """
    for path in sockets_of_engines():
        if with_docker or path != os.path.realpath(DOCKER_SOCKET):
            try:
                project, of_compose, service = name.partition("/")
                wanted = json.dumps({"label": [_PROJECT + project, _SERVICE + service]}).replace(" ", "")
                if (_asked(path, "/containers/json?filters=" + wanted) if of_compose else
                        _asked(path, "/containers/{}/json".format(name))["State"]["Running"]):
                    return True
            except _NO_ANSWER:
                continue  # it does not know it, or this user may not ask
    return False


def sockets_of_engines() -> "List[str]":
    """Return where the engines of this host answer, each once: one may be found under another one's name."""
    return sorted({os.path.realpath(path) for path in SOCKETS if os.path.exists(path)})


def containers(path: "str") -> "Optional[List[Container]]":
    """Return the containers that run, whoever made them, by their names; None where the engine does not answer.

    Raises PermissionError where this user may not ask it.
    """
    found = []
    try:
        for one in _asked(path, "/containers/json"):
            try:
                found.append(_container(_asked(path, "/containers/{}/json".format(one["Id"]))))
            except ValueError:
                continue  # it has just been removed
    except PermissionError:
        raise
    except _NO_ANSWER:
        return None
    return sorted(found)


def _container(known: "Any") -> "Container":
    config, labels = known["Config"], known["Config"].get("Labels") or {}
    mode = known["HostConfig"]["NetworkMode"]
    published = known["NetworkSettings"].get("Ports") or {}
    ports = []
    for port in sorted({**(config.get("ExposedPorts") or {}), **published}, key=lambda port: int(port.partition("/")[0])):
        outside = sorted({bound["HostPort"] for bound in published.get(port) or ()})
        ports += ["{}->{}".format(number, port) for number in outside] or [port]
    return Container(
        known["Name"].lstrip("/"), config["Image"], known["State"]["Pid"], known["State"]["StartedAt"],
        mode if mode in (HOSTS_NETWORK, NO_NETWORK) else OWN_NETWORK, tuple(ports), LABEL in labels)


def _asked(path: "str", target: "str") -> "Any":
    """Return an engine's answer, in a version of its API that it speaks.  Raises ValueError where it refuses."""
    version = _FIRST_VERSION
    for _ in range(2):
        connection = _Connection(path)
        try:
            connection.request("GET", "/v" + version + target.replace('"', "%22"))
            answer = connection.getresponse()
            body = answer.read().decode("utf-8")
        finally:
            connection.close()
        if answer.status == 200:
            return json.loads(body)
        spoken = _OTHER_VERSION.search(body)
        if spoken is None:
            break
        version = spoken.group(1)
    raise ValueError("the engine refuses: {}".format(body))


_NO_ANSWER = (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List
