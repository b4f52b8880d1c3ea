"""The variables with which a Compose project is read.

Knows that they come from the environment and from `.env`, and which of them seem to be secrets that have come into a
declaration; hides who asked for which.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ondemand_pkg.declaration.secret_names import is_secret
from ondemand_pkg.errors import DeclarationError
from ondemand_pkg.importing import env_file
from ondemand_pkg.importing.notes import Note
from ondemand_pkg.importing.reach import OutOfReach, Reach, TooMuch

_MOST = 200  # variables that are looked for
OUTSIDE = "it is {}, outside the project's directory, and was read as --allow-outside asks"


class Variables(Mapping[str, str]):
    """The variables of a project, by name; ``notes`` say what of `.env` could not be read."""

    def __init__(self, path: str, environ: Mapping[str, str], reach: Reach) -> None:
        self.notes: list[Note] = []
        self._values = {**self._of_file(path, environ, reach), **environ}
        self._asked: set[str] = set()

    @classmethod
    def beneath(cls, others: Variables, paths: Iterable[str], reach: Reach) -> Variables:
        """Return the variables of an included file: those of who includes it, and below them those of some files."""
        found = cls("", others._values, reach)
        found._asked = others._asked
        for path in paths:
            of_file = found._of_file(path, others._values, reach)
            found._values = {**found._values, **of_file, **others._values}
        return found

    def __getitem__(self, name: str) -> str:
        self._asked.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def _of_file(self, path: str, environ: Mapping[str, str], reach: Reach) -> dict[str, str]:
        if not path or not os.path.lexists(path) or path == os.devnull:
            return {}
        try:
            found = env_file.read(reach.text(path), environ, set())
            if not reach.is_inside(path):
                self.notes.append(Note(path, "variables", OUTSIDE.format(os.path.realpath(path))))
        except (OutOfReach, TooMuch, env_file.Malformed) as error:
            self.notes.append(Note(path, "variables", f"none of them are set: {error}"))
        except DeclarationError as error:
            self.notes.append(Note(path, "variables", f"none of them are set: {error.faults[0].finding}"))
        else:
            return {name: variable.value for name, variable in found.items()}
        return {}

    def secrets_in(self, values: Iterable[Mapping[str, Any]]) -> list[str]:
        """Return the names of variables that seem to be secrets, were asked for, and whose value is among some of a draft."""
        found = [*values]
        names = [name for name in sorted(self._asked & set(self._values)) if is_secret(name, self._values[name])]
        return [name for name in names[:_MOST] if any(self.is_in(name, one) for one in found)]

    def is_in(self, name: str, values: Mapping[str, Any]) -> bool:
        """Tell whether the value of a variable is among some of a draft."""
        return json.dumps(self._values[name])[1:-1] in json.dumps(values)
