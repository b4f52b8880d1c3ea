"""How far a project may reach for the files that it names.

Knows the project's directory, by the real path after all links, that nothing outside is read unless that is asked for, and how
much all files together may bring in; hides what was read before.
"""

from __future__ import annotations

import os
from pathlib import Path

from ondemand_pkg.importing import source_file

SPLIT = "split the file and import each part"
_OF_EACH = 2048  # characters that a file counts for at least
_LARGEST = 16 << 20  # characters of files that are read, each time that one is used, and of values with variables in them


class OutOfReach(Exception):
    """A file is not read; the text says why and what to do."""


class TooMuch(Exception):
    """All files or values together are larger than a project is; the text says so."""


class Reach:
    """What the files of one project are read through."""

    def __init__(self, directory: Path, allow_outside: bool) -> None:
        self.directory = Path(os.path.realpath(directory))
        self._allow_outside = allow_outside
        self._texts: dict[str, str] = {}
        self._sum = 0

    def real(self, path: str) -> str:
        """Return where a path leads; raises OutOfReach for what is outside and was not asked for, and TooMuch."""
        self.count(_OF_EACH)
        try:
            real = os.path.realpath(path)
        except ValueError:
            raise OutOfReach("it can't be read: its name has a NUL") from None
        if not self._allow_outside and not self.is_inside(real):
            raise OutOfReach(f"it is {real}, outside the project's directory {self.directory}, and was not read; --allow-outside "
                             "reads it")
        return real

    def is_inside(self, path: str) -> bool:
        """Tell whether a path leads into the project's directory."""
        return Path(os.path.realpath(path)).is_relative_to(self.directory)

    def text(self, path: str) -> str:
        """Return the text of a file; raises OutOfReach, TooMuch, and DeclarationError for what can't be read."""
        real = self.real(path)
        if real not in self._texts:
            self._texts[real] = source_file.read(real)
        self.count(len(self._texts[real]))
        return self._texts[real]

    def count(self, characters: int) -> None:
        """Count what was brought in; raises TooMuch."""
        self._sum += characters
        if self._sum > _LARGEST:
            raise TooMuch("the files that the project names, and its values with variables, are together larger than "
                          f"{_LARGEST >> 20} MiB")
