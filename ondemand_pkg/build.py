"""From containers to package files.

Knows how many packages are packed at once and that either all of them appear or none; hides temporary files.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ondemand_pkg import tree
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.images import Images
from ondemand_pkg.model import Container

WORTH_PROCESSES = 64  # fewer packages than this are packed sooner than other processes have started


@dataclass(frozen=True)
class Task:
    """One package to pack; ``time`` in seconds since the epoch."""

    container: Container
    format_name: str
    time: int

    def pack(self, directory: Path) -> str:
        """Write the package into a directory; return its file name.  Raises OndemandError and OSError."""
        package = tree.package(self.container, self.format_name, self.time)
        writer = FORMATS[self.format_name]
        size = sum(entry.size for entry in package.entries)
        if size > writer.LARGEST:
            raise OndemandError(
                f"{package.name}: with the image {self.container.image} its files have {size} bytes, and a .{self.format_name} "
                f"holds {writer.LARGEST}; make the image smaller, or leave out 'bundle' or this format")
        name = writer.filename(package)
        with (directory / name).open("w+b") as stream:
            writer.write(package, stream)
        return name


def tasks(containers: Iterable[Container], formats: Sequence[str], environ: Mapping[str, str]) -> list[Task]:
    """Return what is to be packed; raises OndemandError where the environment holds no usable time."""
    return [Task(container, name, tree.timestamp(container, environ)) for container in containers for name in formats]


def packed(todo: Sequence[Task], directory: Path) -> Iterator[str]:
    """Write packages into a directory, on all processors where that pays; yield the name of each, in the order of the tasks."""
    pack = functools.partial(Task.pack, directory=directory)
    if len(todo) < WORTH_PROCESSES:
        yield from map(pack, todo)
        return
    from concurrent.futures import ProcessPoolExecutor  # a tenth of the time in which one container is built

    with ProcessPoolExecutor() as pool:
        yield from pool.map(pack, todo, chunksize=16)


def write(todo: Sequence[Task], directory: Path, done: Callable[[], None] = lambda: None) -> list[Path]:
    """Write packages into a directory, which is made if it is not there; return their paths.

    The packages are written under other names and renamed when all of them are complete, so that a failure
    leaves what was there before.  ``done`` is called after each.  Raises OndemandError.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".ondemand-pkg-", dir=directory) as temporary:
            images = Images(Path(temporary))
            todo = [dataclasses.replace(task, container=images.resolved(task.container)) for task in todo]
            names = []
            for name in packed(todo, Path(temporary)):
                names.append(name)
                done()
            for name in names:
                os.replace(Path(temporary) / name, directory / name)
    except OSError as error:
        raise OndemandError(f"{directory}: the packages can't be written: {error.strerror}; "
                            "give a writable directory with --output") from error
    return [directory / name for name in names]
