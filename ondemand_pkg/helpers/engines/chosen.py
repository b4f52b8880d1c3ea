"""Which engine has the workload of this package, or is to make it.

Knows where that is noted, and which engine makes a workload of which nothing is noted; hides the engines' modules, of which a
wake loads those of one.  What is noted holds: an engine that is installed later moves nothing.
"""

import os

from names import DECLARATION, ENGINE_RECORD, WORKLOAD
from process import say

ANY, DOCKER, PODMAN, UNIT, SYSTEMD, SWARM = "any", "docker", "podman", "unit", "systemd", "swarm"
ADOPTED, COMPOSE = "container", "compose"  # what somebody made, at one of the first two
LONGEST_WORD = 16  # bytes of the note that are read
DOCKER_SOCKET = "/run/docker.sock"  # may be a link to the other engine's, put there by podman-docker
DOCKER_VOLUMES = "/var/lib/docker/volumes"
DAEMONS = {DOCKER: "dockerd", PODMAN: "podman"}
PATH = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/snap/bin")


def engine(declared: "str") -> "Engine":
    """Return what has the workload, else what makes one that is declared for ``declared``."""
    if declared in (UNIT, SYSTEMD, SWARM):
        return engine_called(declared)
    if declared == ADOPTED:
        from engines.adopted import AtDocker, AtPodman, of_this_host

        return of_this_host(((DOCKER, AtDocker), (PODMAN, AtPodman)), is_there)
    if declared == COMPOSE:
        from engines.adopted import of_this_host
        from engines.compose import ProjectAtDocker, ProjectAtPodman

        return of_this_host(((DOCKER, ProjectAtDocker), (PODMAN, ProjectAtPodman)), is_there)
    word = noted() or first_choice(declared)
    found = engine_called(word)
    if declared not in (ANY, word):
        found.successor = declared
    return found


def engine_called(word: "str") -> "Engine":
    if word == UNIT:
        from engines.unit import Unit

        return Unit()
    if word == SYSTEMD:
        from engines.systemd import Systemd

        return Systemd()
    if word == SWARM:
        from engines.swarm import Swarm

        return Swarm()
    if word == PODMAN:
        from engines.podman import Podman

        return Podman()
    from engines.docker import Docker

    return Docker()


def publisher(program: "str", port: "str") -> "str":
    """Return whose container it is where a program of an engine listens for one that publishes a port; nothing for others."""
    from engines.docker import PUBLISHER, publishing

    names = publishing(port) if port and program.startswith(PUBLISHER + " ") else []
    return "the container {}, which publishes it ({})".format(names[0], PUBLISHER) if len(names) == 1 else ""


def noted() -> "str":
    """Return the word of the engine that has the workload, nothing where that is not noted."""
    try:
        with open(ENGINE_RECORD) as stream:
            word = stream.read(LONGEST_WORD).strip()
    except (OSError, ValueError):
        return ""
    return word if word in DAEMONS else ""


def note(engine: "Engine") -> "None":
    """Note that an engine has the workload, and say so where the host has another one too."""
    if noted() == engine.word or engine.word not in DAEMONS:
        return
    directory = os.path.dirname(ENGINE_RECORD)
    try:
        if not os.path.isdir(directory):
            os.makedirs(directory)
        with open(ENGINE_RECORD + ".new", "w") as stream:
            stream.write(engine.word + "\n")
        os.rename(ENGINE_RECORD + ".new", ENGINE_RECORD)
    except OSError as error:
        say("that {} has the container can't be noted in {}: {}".format(engine.title, ENGINE_RECORD, error.strerror))
        return
    if all(map(is_there, DAEMONS)):
        say("this host has more than one container engine; {} has the container and keeps it ({})".format(
            engine.title, ENGINE_RECORD))


def first_choice(declared: "str") -> "str":
    """Return the engine of a workload of which nothing is noted: it is not made yet, or by a release that noted nothing."""
    if declared == ANY:
        return PODMAN if is_there(PODMAN) and not is_there(DOCKER) else DOCKER
    return DOCKER if declared != DOCKER and has_workload(DOCKER) else declared


def is_there(word: "str") -> "bool":
    """Return whether this host has an engine, be it asleep."""
    if word == DOCKER and os.path.exists(DOCKER_SOCKET) and not os.path.islink(DOCKER_SOCKET):
        return True
    return any(os.access(os.path.join(directory, DAEMONS[word]), os.X_OK) for directory in PATH)


def has_workload(word: "str") -> "bool":
    """Return whether an engine that is there has a workload of this package, or may have its data and does not answer."""
    from engines import EngineDown, EngineError

    if not is_there(word):
        return False
    try:
        seen = engine_called(word).look(WORKLOAD)
    except (EngineDown, EngineError):
        return has_data()
    return seen is not None and bool(seen.specification)


def has_data() -> "bool":
    """Return whether a declared volume lies where Docker has its own, as those of 0.1.0 do."""
    import json

    with open(DECLARATION, "rb") as stream:
        declared = json.loads(stream.read().decode("ascii"))["volumes"]
    return any(os.path.isdir("{}/{}".format(DOCKER_VOLUMES, volume.partition(":")[0]))
               for volume in declared if not volume.startswith("/"))


def remedy(engine: "Engine") -> "str":
    """Return what to do where the engine that has the workload is gone, to be added to the reason; "" where it is there."""
    if noted() != engine.word or is_there(engine.word):
        return ""
    others = [word for word in sorted(DAEMONS) if word != engine.word and is_there(word)]
    said = "; {} has the container ({}) and is no longer installed: install it again".format(engine.title, ENGINE_RECORD)
    for word in others:
        said += (", or run 'echo {} > {}', and the next connection makes a new container there, without the data in "
                 "volumes".format(word, ENGINE_RECORD))
    return said


TYPE_CHECKING = False
if TYPE_CHECKING:
    from engines import Engine
