"""From containers to package files.

Knows how many packages are packed at once and that either all of them appear or none; hides temporary files.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ondemand_pkg import tree
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.model import Container

WORTH_PROCESSES = 64  # fewer packages than this are packed sooner than other processes have started


@dataclass(frozen=True)
class Task:
    """One package to pack; ``time`` in seconds since the epoch."""

    container: Container
    format_name: str
    time: int

    def pack(self) -> tuple[str, bytes]:
        """Return file name and content of the package."""
        package = tree.package(self.container, self.format_name, self.time)
        writer = FORMATS[self.format_name]
        return writer.filename(package), writer.pack(package)


def tasks(containers: Iterable[Container], formats: Sequence[str], environ: Mapping[str, str]) -> list[Task]:
    """Return what is to be packed; raises OndemandError where the environment holds no usable time."""
    return [Task(container, name, tree.timestamp(container, environ)) for container in containers for name in formats]


def packed(todo: Sequence[Task]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each package, in the order of the tasks, on all processors where that pays."""
    if len(todo) < WORTH_PROCESSES:
        yield from map(Task.pack, todo)
        return
    from concurrent.futures import ProcessPoolExecutor  # a tenth of the time in which one container is built

    with ProcessPoolExecutor() as pool:
        yield from pool.map(Task.pack, todo, chunksize=16)


def write(todo: Sequence[Task], directory: Path, done: Callable[[], None] = lambda: None) -> list[Path]:
    """Write packages into a directory, which is made if it is not there; return their paths.

    The packages are written under other names and renamed when all of them are complete, so that a failure
    leaves what was there before.  ``done`` is called after each.  Raises OndemandError.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".ondemand-pkg-", dir=directory) as temporary:
            names = []
            for name, content in packed(todo):
                (Path(temporary) / name).write_bytes(content)
                names.append(name)
                done()
            for name in names:
                os.replace(Path(temporary) / name, directory / name)
    except OSError as error:
        raise OndemandError(f"{directory}: the packages can't be written: {error.strerror}; "
                            "give a writable directory with --output") from error
    return [directory / name for name in names]
