"""What the keys of a Compose project are read with: paths, both syntaxes of lists and mappings, its tables.

Knows the project's directory, its variables and its top-level tables; hides where a value has the wrong type, which is told by
file and line.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from ondemand_pkg.declaration import text_file
from ondemand_pkg.errors import DeclarationError, Fault
from ondemand_pkg.importing import env_file
from ondemand_pkg.importing.compose_load import Loaded
from ondemand_pkg.importing.env_file import Variable
from ondemand_pkg.importing.reach import OutOfReach, Reach
from ondemand_pkg.importing.yaml_lines import Located, scalar_text

EMPTY = Located(0, None)


class ComposeFile:
    """One Compose project on its way to drafts; ``missing`` are variables that were not set, with the place of the first use."""

    def __init__(self, loaded: Loaded, reach: Reach) -> None:
        self.path = loaded.paths[0]
        self.reach = reach
        self.project = loaded.name
        self.variables = loaded.variables
        self.tables = loaded.tables
        self.missing = loaded.missing
        self.directory = Path(self.path).parent.resolve()  # from which relative paths lead, also where the file is a link

    def fault(self, located: Located, finding: str, remedy: str = "") -> NoReturn:
        """Raise DeclarationError for a value."""
        raise DeclarationError([Fault(located.path or self.path, located.line, "", finding, remedy)])

    # --- values ----------------------------------------------------------------------------------------------------

    def text(self, located: Located) -> str:
        """Return a scalar as text."""
        if isinstance(located.value, list | dict):
            kind = "list" if isinstance(located.value, list) else "mapping"
            self.fault(located, f"expected a single value, not a {kind}")
        return scalar_text(located.value)

    def flag(self, located: Located) -> bool:
        """Return a boolean."""
        text = self.text(located).lower()
        if text not in ("true", "false", "yes", "no", "on", "off", "1", "0", ""):
            self.fault(located, f"{text!r} is not true or false")
        return text in ("true", "yes", "on", "1")

    def sequence(self, located: Located, what: str) -> list[Located]:
        """Return the items of a list."""
        if not isinstance(located.value, list):
            self.fault(located, f"{what}: a list is allowed here")
        return located.value

    def mapping(self, located: Located, what: str) -> dict[str, Located]:
        """Return the keys of a mapping, none where nothing stands."""
        if located.value is None:
            return {}
        if not isinstance(located.value, dict):
            self.fault(located, f"{what}: a mapping is allowed here")
        return located.value

    def items(self, located: Located) -> list[tuple[str, Located]]:
        """Return the texts of a list, or the one of a single value, each with where it stands."""
        found = located.value if isinstance(located.value, list) else [] if located.value is None else [located]
        return [(self.text(item), item) for item in found]

    def texts(self, located: Located) -> list[str]:
        """Return the texts of a list, or the one of a single value."""
        return [text for text, _ in self.items(located)]

    def pairs(self, located: Located, signs: str) -> list[tuple[str, str | None, Located]]:
        """Return names, values (None for none) of a mapping, or of a list of `NAME=VALUE`, with where each stands.

        Each of ``signs`` may part a name from its value.
        """
        if isinstance(located.value, dict):
            return [(name, None if item.value is None else self.text(item), item)
                    for name, value in located.value.items()
                    for item in (value.value if isinstance(value.value, list) else [value])]
        found: list[tuple[str, str | None, Located]] = []
        for text, item in self.items(located):
            end = min((position for sign in signs if (position := text.find(sign)) >= 0), default=-1)
            found.append((text, None, item) if end < 0 else (text[:end], text[end + 1:], item))
        return found

    def plain(self, located: Located) -> dict[str, Any]:
        """Return a mapping, two levels deep at most, as plain values."""
        found: dict[str, Any] = {}
        for key, item in self.mapping(located, "a mapping").items():
            if isinstance(item.value, dict):
                found[key] = {name: self._plain_scalar(inner) for name, inner in item.value.items()}
            else:
                found[key] = self._plain_scalar(item)
        return found

    def _plain_scalar(self, located: Located) -> Any:
        return located.value if isinstance(located.value, bool | int | None) else self.text(located)

    def arguments(self, located: Located) -> list[str]:
        """Return a command: a list as it is, a text parted into words as a shell would."""
        if isinstance(located.value, list):
            return self.texts(located)
        try:
            return shlex.split(self.text(located))
        except ValueError as error:
            self.fault(located, f"can't split this command line into words: {str(error).lower()}")

    # --- the world around ------------------------------------------------------------------------------------------

    def absolute(self, path: str) -> str:
        """Return a path of the host as Compose resolves it: from the file's directory, `~` for the home directory."""
        return os.path.normpath(self.directory / os.path.expanduser(path))

    def variables_of(self, path: str, place: str, is_raw: bool, known: Mapping[str, str]) -> dict[str, Variable]:
        """Return the variables of a file of such, named at ``place``; those in ``known`` are used in their values.

        Raises OutOfReach where it is not read, can't be, or is not valid, and TooMuch.
        """
        missing: set[str] = set()
        try:
            text = self.reach.text(path)
            found = env_file.read_raw(text) if is_raw else env_file.read(text, known, missing)
            self.reach.count(sum(len(variable.value) for variable in found.values()))
        except env_file.Malformed as error:
            raise OutOfReach(f"it can't be read: {error}") from None
        except DeclarationError as error:
            raise OutOfReach(f"it can't be read: {error.faults[0].finding.removeprefix(text_file.UNREADABLE)}") from None
        for name in missing:
            self.missing.setdefault(name, place)
        return found

    def table(self, table: str, name: str) -> dict[str, Located]:
        """Return the keys of a thing of a top-level table, none where it is not there."""
        located = self.tables[table].get(name, EMPTY)
        return located.value if isinstance(located.value, dict) else {}

    def is_external(self, table: str, name: str) -> bool:
        """Tell whether a thing of a top-level table is made by others."""
        external = self.table(table, name).get("external", EMPTY)
        return isinstance(external.value, dict) or (external.value is not None and self.flag(external))

    def volume_name(self, name: str) -> str:
        """Return the name under which the engine keeps a volume of the project."""
        keys = self.table("volumes", name)
        external = keys.get("external", EMPTY)
        if isinstance(external.value, dict) and "name" in external.value:
            return self.text(external.value["name"])
        if "name" in keys:
            return self.text(keys["name"])
        return name if self.is_external("volumes", name) else f"{self.project}_{name}"

    def file_of(self, table: str, name: str) -> str | None:
        """Return the file of the host that a secret or config of the project is, or None where it is none."""
        keys = self.table(table, name)
        return self.absolute(self.text(keys["file"])) if "file" in keys else None
