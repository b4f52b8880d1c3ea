"""Where the Quadlet files of a project are.

Knows how Podman's generator walks a directory (subdirectories, links, the first of a name, drop-ins of any directory) and that
nothing outside is read unless that is asked for; hides the file system.  Source: podman-systemd.unit(5).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ondemand_pkg.errors import OndemandError
from ondemand_pkg.importing.notes import Note, Weight
from ondemand_pkg.importing.unit_files import Unit, drop_in_directories

KINDS = ("container", "pod", "volume", "network", "image", "build", "kube")
OUTSIDE = "it leads out of the directory, and was not read; --allow-outside reads it"
_MOST_FILES = 2000
_MOST_DIRECTORIES = 2000


class QuadletFiles:
    """The Quadlet files of a directory and of those below it, or the siblings of one file."""

    def __init__(self, path: str, allow_outside: bool) -> None:
        self.is_one = not os.path.isdir(path)
        self.notes: list[Note] = []
        self.paths: dict[str, Path] = {}  # by name; of one name, the first that Podman would find
        self._path = path
        self._allow_outside = allow_outside
        self.directory = (Path(path).parent if self.is_one else Path(path)).resolve()
        self._drop_ins: dict[str, list[Path]] = {}
        self._units: dict[str, Unit] = {}
        for directory in [self.directory] if self.is_one else self._directories(self.directory, set()):
            self._look_into(directory)
        if self.is_one:
            self.paths[Path(path).name] = self.directory / Path(path).name

    def unit(self, name: str) -> Unit | None:
        """Return a unit with its drop-ins: a file, or an instance of a template; None where there is neither."""
        path = self.paths.get(name)
        if path is None and name.endswith(".container"):
            path = self.paths.get(template_of(name))
        if path is None:
            return None
        if name not in self._units:
            found: dict[str, Path] = {}
            outside = []
            for directory in drop_in_directories(path.name):
                # Of one name that in the first directory counts, and one that is more particular counts before all.
                for drop_in in reversed(self._drop_ins.get(directory, ())):
                    for conf in drop_in.glob("*.conf"):
                        found[conf.name] = conf
            for conf in list(found.values()):
                if not self._is_allowed(conf):
                    outside.append(str(found.pop(conf.name)))
            self._units[name] = Unit(str(self._shown(path)), [str(self._shown(found[conf])) for conf in sorted(found)], name)
            self._units[name].outside = outside
        return self._units[name]

    def _shown(self, path: Path) -> Path:
        """Return a path as the caller would write it."""
        top = Path(self._path).parent if self.is_one else Path(self._path)
        return top / path.relative_to(self.directory) if path.is_relative_to(self.directory) else path

    def _is_allowed(self, path: Path) -> bool:
        return self._allow_outside or path.resolve().is_relative_to(self.directory)

    def _directories(self, directory: Path, seen: set[Path]) -> Iterator[Path]:
        """Yield a directory and those below it in Podman's order, wherever links lead, each once."""
        left = [directory]
        while left:
            found = left.pop().resolve()
            if found in seen or found.name.endswith(".d") or not found.is_dir():
                continue
            seen.add(found)
            if len(seen) > _MOST_DIRECTORIES:
                raise OndemandError(f"{self._path}: more than {_MOST_DIRECTORIES} directories; import a part of them")
            yield found
            inside = sorted(entry for entry in _entries(found) if entry.is_dir())
            left += [entry for entry in reversed(inside) if self._is_allowed(entry) or self._refused(entry)]

    def _refused(self, path: Path) -> bool:
        self.notes.append(Note(str(self._shown(path)), "link", OUTSIDE, Weight.LOSS))
        return False

    def _look_into(self, directory: Path) -> None:
        for entry in sorted(_entries(directory)):
            if entry.name.endswith(".d") and entry.is_dir():
                self._drop_ins.setdefault(entry.name, []).append(entry)
            elif entry.name.rpartition(".")[2] in KINDS and entry.name not in self.paths and not entry.is_dir():
                if len(self.paths) >= _MOST_FILES:
                    raise OndemandError(f"{self._path}: more than {_MOST_FILES} Quadlet files; import a part of them")
                if self._is_allowed(entry):
                    self.paths[entry.name] = entry
                elif not self.is_one:
                    self._refused(entry)


def _entries(directory: Path) -> list[Path]:
    """Return what is in a directory; nothing where it can't be read, as Podman passes over it."""
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def template_of(name: str) -> str:
    """Return the file of which NAME@INSTANCE.container is an instance; the name itself where it is none."""
    stem, _, kind = name.rpartition(".")
    template, at, instance = stem.partition("@")
    return f"{template}@.{kind}" if at and instance else name


def is_template(name: str) -> bool:
    """Tell whether a file is a template, which becomes nothing without the name of an instance."""
    return name.rpartition(".")[0].endswith("@")
