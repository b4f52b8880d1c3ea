"""From containers to package files.

Knows how many packages are packed at once and that either all of them appear or none; hides temporary files.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ondemand_pkg.building.images import Images
from ondemand_pkg.contents import package_of, stack_package
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import Format
from ondemand_pkg.frozen import frozen
from ondemand_pkg.model import Container, Resolved, Stack
from ondemand_pkg.package import Package

WORTH_PROCESSES = 64  # fewer packages than this are packed sooner than other processes have started


@frozen
class Task:
    """One package that is asked for; ``time`` in seconds since the epoch."""

    declared: Container | Stack
    format: Format
    time: int

    def job(self, images: Images) -> Job:
        """Return what is to be packed; raises OndemandError and OSError where the image can't be had."""
        if isinstance(self.declared, Stack):
            return Job(self.declared, self.format, self.time)
        return Job(images.resolved(self.declared), self.format, self.time)


@frozen
class Job:
    """One package to pack; ``time`` in seconds since the epoch."""

    resolved: Resolved | Stack
    format: Format
    time: int

    def package(self) -> Package:
        """Return what the package holds."""
        if isinstance(self.resolved, Stack):
            return stack_package.package(self.resolved, self.format, self.time)
        return package_of.package(self.resolved, self.format, self.time)

    def pack(self, directory: Path) -> str:
        """Write the package into a directory; return its file name.  Raises OndemandError and OSError."""
        package = self.package()
        size = sum(entry.size for entry in package.entries)
        if size > self.format.largest and isinstance(self.resolved, Resolved):  # only an image is large
            raise OndemandError(
                f"{package.name}: with the image {self.resolved.container.image} its files have {size} bytes, and a "
                f".{self.format.name} holds {self.format.largest}; make the image smaller, or leave out 'bundle' or this format")
        name = self.format.filename(package)
        with (directory / name).open("w+b") as stream:
            self.format.write(package, stream)
        return name


def tasks(declared: Iterable[Container | Stack], formats: Collection[Format], environ: Mapping[str, str]) -> list[Task]:
    """Return what is to be packed; raises OndemandError where the environment holds no usable time."""
    return [Task(one, format, package_of.timestamp(one, environ)) for one in declared for format in formats]


def packed(todo: Sequence[Job], directory: Path) -> Iterator[str]:
    """Write packages into a directory, on all processors where that pays; yield the name of each, in the order of the jobs."""
    pack = functools.partial(Job.pack, directory=directory)
    if len(todo) < WORTH_PROCESSES:
        yield from map(pack, todo)
        return
    from concurrent.futures import ProcessPoolExecutor  # a tenth of the time in which one container is built

    with ProcessPoolExecutor() as pool:
        yield from pool.map(pack, todo, chunksize=16)


def write(todo: Sequence[Task], directory: Path, done: Callable[[], None] = lambda: None,
          finish: Callable[[Sequence[Path]], None] = lambda _: None) -> list[Path]:
    """Write packages into a directory, which is made if it is not there; return their paths.

    The packages are written under other names and renamed when all of them are complete, so that a failure
    leaves what was there before.  ``done`` is called after each, ``finish`` with all of them before they appear.
    Raises OndemandError.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".ondemand-pkg-", dir=directory) as temporary:
            images = Images(Path(temporary))
            names = []
            for name in packed([task.job(images) for task in todo], Path(temporary)):
                names.append(name)
                done()
            finish([Path(temporary) / name for name in names])
            for name in names:
                os.replace(Path(temporary) / name, directory / name)
    except OSError as error:
        raise OndemandError(f"{directory}: the packages can't be written: {error.strerror}; "
                            "give a writable directory with --output") from error
    return [directory / name for name in names]
