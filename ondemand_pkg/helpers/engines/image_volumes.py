"""The volumes of an unpacked image: directories of the host that its program sees.

Knows where named volumes lie, that a new one gets what the image has at its place, and where an engine that had the
service before may have its data; hides that a volume is filled under another name, and so is there whole or not at all.
"""

import os
import shutil

import programs
from names import PACKAGE, UNITS
from process import Failure

from engines.image_unit import word
from engines.unpacking import inside

DIRECTORY = "/var/lib/ondemand/volumes"  # where engines keep those that packages make, too (docker_volumes.py)
OF_ENGINES = (("docker", "/var/lib/docker/volumes/{}/_data"), ("podman", "/var/lib/containers/storage/volumes/{}/_data"))
UNFINISHED = "@" + PACKAGE  # behind a volume's name, in which no @ can be
READ_ONLY, AS_IT_IS = "ro", "nocopy"


def mount(volumes: "Sequence[str]", root: "str", is_read_only: "bool") -> "List[str]":
    """Make the volumes be there; return the directives by which a program in ``root`` sees them.  Raises Failure and OSError.

    ``volumes`` are declared as SOURCE:TARGET[:OPTIONS]; ``is_read_only`` tells whether everything else is.
    """
    lines = []
    for volume in volumes:
        source, target, *more = volume.split(":")
        options = more[0].split(",") if more else []
        try:
            place = inside(root, target.split("/"), makes=True)
        except (OSError, ValueError) as error:
            raise Failure("the volume {} has no place in the image: {}".format(volume, error)) from None
        if place == root or not (source.startswith("/") or os.path.isdir(place)):
            raise Failure("the volume {} has no place in the image: a directory is needed there".format(volume))
        if source.startswith("/"):
            of_host(source, place)
        else:
            fill(source, place, AS_IT_IS not in options)
            source = os.path.join(DIRECTORY, source)
        seen = place[len(root):]
        lines.append("Bind{}Paths={}:{}".format("ReadOnly" if READ_ONLY in options else "", word(source), word(seen)))
        if is_read_only and READ_ONLY not in options:
            lines.append("ReadWritePaths=" + word("+" + seen))
    return lines


def of_host(source: "str", place: "str") -> "None":
    """Make a directory of the host be there, as an engine does, and its place in the image be of the same kind."""
    if not os.path.exists(source):
        mask = os.umask(0o022)  # whoever makes an image has none, and directories above this one would be everybody's
        try:
            os.makedirs(source)
        finally:
            os.umask(mask)
    if not os.path.isdir(source) and os.path.isdir(place):
        os.rmdir(place)
    if not os.path.lexists(place):
        open(place, "wb").close()


def fill(name: "str", place: "str", is_copied: "bool") -> "None":
    """Make a named volume be there; a new one gets what the image has at its place, owner and mode included.

    One that is there is whole, and may be in use: it is never replaced.
    """
    path = os.path.join(DIRECTORY, name)
    if os.path.isdir(path):
        if not os.listdir(path):
            refuse_empty(name, path)
        return
    refuse_empty(name, path)
    os.makedirs(DIRECTORY, 0o700, exist_ok=True)  # users of the host can't reach in
    forget(path + UNFINISHED)
    if is_copied:
        copy(place, path + UNFINISHED)
    else:
        os.mkdir(path + UNFINISHED, 0o755)
    try:
        os.rename(path + UNFINISHED, path)
    except OSError:
        forget(path + UNFINISHED)
        if not os.path.isdir(path):
            raise
        # Another package that has the same volume has filled it meanwhile.


def copy(source: "str", target: "str") -> "None":
    """Copy a directory with all that its files have.  Raises Failure."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    child = programs.start(["cp", "-aT", "--", source, target], writing, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        said = stream.read().decode("utf-8", "replace")
    if not programs.wait(child) or said:
        raise Failure("a new volume can't get what the image has: {}".format(" ".join(said.split())))


def refuse_empty(name: "str", path: "str") -> "None":
    """Raise Failure where an engine has data of a volume: the service had them, and is not to begin again without them."""
    for engine, form in OF_ENGINES:
        data = form.format(name)
        if os.path.isdir(data) and os.listdir(data):
            raise Failure(
                "{0} has data in its volume {1}, and the service does not start without them; to move them, run: systemctl "
                "stop {2}.socket {2}.service {2}-container.service && {{ {0} stop {2} 2>/dev/null; mkdir -p -m 700 {3}; "
                "cp -aT {4} {5}; }} && systemctl start {2}.socket".format(engine, name, UNITS, DIRECTORY, data, path))


def clear() -> "None":
    """Remove what is left of volumes that were about to be filled."""
    if os.path.isdir(DIRECTORY):
        for name in os.listdir(DIRECTORY):
            if name.endswith(UNFINISHED):
                forget(os.path.join(DIRECTORY, name))
        try:
            os.rmdir(DIRECTORY)
        except OSError:
            pass  # there are others, or an administrator has mounted it


def forget(path: "str") -> "None":
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Sequence
