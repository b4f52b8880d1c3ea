"""Docker's named volumes, and how they outlive what the engine deletes.

Knows that an engine of version 20.10 that is asked to prune deletes the named volumes of stopped containers, and so of sleeping
services, and that no engine prunes a volume with options; hides where such volumes keep their data.  Only making a container
pays for this.

A volume of the driver "local" that is bound to a directory is like a plain one otherwise: the image's content is copied into it
when it is empty.  Volumes that exist are the administrator's: they are named, never changed.
"""

import os

from names import UNITS
from process import Failure

from engines import EngineError

DIRECTORY = "/var/lib/ondemand/volumes"
SELINUX = "/sys/fs/selinux/enforce"  # there, containers may write below the engine's own directory alone
OPTIONS = "--opt=type=none --opt=o=bind --opt=device="


def named(volumes: "Sequence[str]") -> "List[str]":
    """Return the names of volumes, of what is declared as SOURCE:TARGET[:OPTIONS]."""
    return sorted({volume.partition(":")[0] for volume in volumes if ":" in volume and not volume.startswith("/")})


def ensure(api: "Api", volumes: "Sequence[str]") -> "None":
    """Create the named volumes that do not exist.  Raises Failure."""
    for name in named(volumes):
        if os.path.exists(SELINUX) or look(api, name) is not None:
            continue
        path = os.path.join(DIRECTORY, name)
        try:
            if not os.path.isdir(DIRECTORY):
                os.makedirs(DIRECTORY)
                os.chmod(DIRECTORY, 0o700)  # as the engine's own: users of the host can't reach in
            if not os.path.isdir(path):
                os.mkdir(path, 0o755)
            api.call("POST", "/volumes/create", None, {
                "Name": name, "Driver": "local", "DriverOpts": {"type": "none", "o": "bind", "device": path}})
        except (OSError, EngineError) as error:
            raise Failure("the volume {} can't be created in {}: {}".format(name, path, error)) from None


def look(api: "Api", name: "str") -> "Optional[Dict[str, Any]]":
    import json

    from engines.docker_api import checked

    status, body = api.ask("GET", "/volumes/" + name)
    if status == 404:
        return None
    checked(status, body)
    return dict(json.loads(body.decode("utf-8")))


def plain(api: "Api", volumes: "Sequence[str]") -> "List[Tuple[str, str]]":
    """Return (name, directory) of the declared volumes whose data the engine keeps in a directory of its own."""
    found = [(name, look(api, name)) for name in named(volumes)]
    return [(name, seen["Mountpoint"]) for name, seen in found
            if seen is not None and seen["Driver"] == "local" and not seen.get("Options")]


def copying(found: "Sequence[Tuple[str, str]]") -> "List[str]":
    """Return the commands that copy the data of volumes to where new volumes have them."""
    return ["mkdir -p -m 700 " + DIRECTORY] + [
        "mkdir {0}/{1} && cp -aT {2} {0}/{1}".format(DIRECTORY, name, directory) for name, directory in found]


def advice(engine: "Docker", volumes: "Sequence[str]", workloads: "Sequence[str]", anonymous: "Sequence[str]") -> "str":
    """Return which declared volumes a prune may delete, and the commands that move them; "" where there are none.

    ``workloads`` are the containers that have them, ``anonymous`` the anonymous volumes of these.
    """
    found = plain(engine.api, volumes)
    if not found or os.path.exists(SELINUX):
        return ""
    said = "while the service sleeps, {} volumes that existed before this package made them so that they stay: {}; ".format(
        engine.PRUNES, ", ".join(name for name, _ in found))
    if anonymous:
        return said + "they can't be moved as long as the container has anonymous volumes; declare names for those first"
    # What can't be undone comes last, and a failure leaves everything as it was.
    commands = ["systemctl stop {0}.socket {0}.service {0}-container.service".format(UNITS)] + copying(found)
    commands += [engine.COMMAND + " rm " + " ".join(workloads)] if workloads else []
    commands += ["({3} volume rm {0} || ! rm -r {2}/{0}) && {3} volume create {1}{2}/{0} {0}".format(
        name, OPTIONS, DIRECTORY, engine.COMMAND) for name, _ in found]
    return said + "to move their data to {}, run (what the container wrote elsewhere is lost):\n  {};\n  {}".format(
        DIRECTORY, " &&\n  ".join(commands), "systemctl start {}.socket".format(UNITS))


def commands_to_leave(engine: "Docker", volumes: "Sequence[str]", workloads: "Sequence[str]") -> "List[str]":
    """Return the commands after which another engine finds the data of declared volumes; the old volumes stay, unused."""
    if os.path.exists(SELINUX):
        return []
    return copying(plain(engine.api, volumes)) + ([engine.COMMAND + " rm " + " ".join(workloads)] if workloads else [])


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Sequence, Tuple

    from engines.docker import Docker
    from engines.docker_api import Api
