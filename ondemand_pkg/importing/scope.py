"""What the keys of a Compose file are read with: variables, paths, both syntaxes of lists and mappings.

Knows the file, its directory, its variables and its top-level tables; hides interpolation and where a value has the wrong
type, which is told by file and line.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from ondemand_pkg.errors import DeclarationError, Fault
from ondemand_pkg.importing.interpolation import Unset, dotenv, interpolate
from ondemand_pkg.importing.located import Located, scalar_text

_LARGEST_ENV_FILE = 2**20


class Scope:
    """One Compose file on its way to drafts; ``missing`` are the variables that were not set, with the line of the first use."""

    def __init__(self, path: str, project: str, variables: Mapping[str, str], top: Mapping[str, Located]) -> None:
        self.path = path
        self.project = project
        self.variables = variables
        self.top = top
        self.missing: dict[str, int] = {}

    @property
    def directory(self) -> Path:
        """The directory from which relative paths lead."""
        return Path(self.path).resolve().parent

    def place(self, line: int) -> str:
        """Return FILE:LINE."""
        return f"{self.path}:{line}"

    def fault(self, line: int, message: str) -> NoReturn:
        """Raise DeclarationError for a line of the file."""
        raise DeclarationError([Fault(self.path, line, "", message)])

    # --- values ----------------------------------------------------------------------------------------------------

    def text(self, located: Located) -> str:
        """Return a scalar as text, its variables replaced."""
        if isinstance(located.value, list | dict):
            kind = "list" if isinstance(located.value, list) else "mapping"
            self.fault(located.line, f"a {kind} stands where a single value is allowed")
        missing: set[str] = set()
        try:
            text = interpolate(scalar_text(located.value), self.variables, missing)
        except Unset as error:
            self.fault(located.line, str(error))
        for name in missing:
            self.missing.setdefault(name, located.line)
        return text

    def flag(self, located: Located) -> bool:
        """Return a boolean."""
        text = self.text(located).lower()
        if text not in ("true", "false", "yes", "no", "on", "off", "1", "0", ""):
            self.fault(located.line, f"{text!r} stands where true or false is allowed")
        return text in ("true", "yes", "on", "1")

    def sequence(self, located: Located, what: str) -> list[Located]:
        """Return the items of a list."""
        if not isinstance(located.value, list):
            self.fault(located.line, f"{what}: a list is allowed here")
        return located.value

    def mapping(self, located: Located, what: str) -> dict[str, Located]:
        """Return the keys of a mapping, none where nothing stands."""
        if located.value is None:
            return {}
        if not isinstance(located.value, dict):
            self.fault(located.line, f"{what}: a mapping is allowed here")
        return located.value

    def items(self, located: Located) -> list[tuple[str, int]]:
        """Return the texts of a list, or the one of a single value, each with its line."""
        found = located.value if isinstance(located.value, list) else [located]
        return [(self.text(item), item.line) for item in found]

    def pairs(self, located: Located, signs: str) -> list[tuple[str, str | None, int]]:
        """Return names, values (None for none) and lines of a mapping, or of a list of `NAME=VALUE`; ``signs`` may part them."""
        if isinstance(located.value, dict):
            return [(name, None if item.value is None else self.text(item), item.line)
                    for name, item in located.value.items()]
        found: list[tuple[str, str | None, int]] = []
        for text, line in self.items(located):
            end = min((position for sign in signs if (position := text.find(sign)) >= 0), default=-1)
            found.append((text, None, line) if end < 0 else (text[:end], text[end + 1:], line))
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
            return [text for text, _ in self.items(located)]
        try:
            return shlex.split(self.text(located))
        except ValueError as error:
            self.fault(located.line, f"a command line that can't be parted into words: {str(error).lower()}")

    # --- the world around ------------------------------------------------------------------------------------------

    def absolute(self, path: str) -> str:
        """Return a path of the host as Compose resolves it: from the file's directory, `~` for the home directory."""
        return os.path.normpath(self.directory / os.path.expanduser(path))

    def variables_of(self, path: str) -> dict[str, str] | None:
        """Return the variables of a file of such, None where it can't be read."""
        try:
            with open(self.absolute(path), encoding="utf-8") as stream:
                text = stream.read(_LARGEST_ENV_FILE + 1)
        except (OSError, UnicodeDecodeError, ValueError):
            return None
        return dotenv(text) if len(text) <= _LARGEST_ENV_FILE else None

    def _table(self, table: str, name: str) -> dict[str, Located]:
        located = self.mapping(self.top.get(table, Located(0, None)), table).get(name, Located(0, None))
        return located.value if isinstance(located.value, dict) else {}

    def volume_name(self, name: str) -> str:
        """Return the name under which the engine keeps a volume of the project."""
        keys = self._table("volumes", name)
        if "name" in keys:
            return self.text(keys["name"])
        is_external = "external" in keys and (isinstance(keys["external"].value, dict) or self.flag(keys["external"]))
        return name if is_external else f"{self.project}_{name}"

    def file_of(self, table: str, name: str) -> str | None:
        """Return the file of the host that a secret or config of the project is, or None where it is none."""
        keys = self._table(table, name)
        return self.absolute(self.text(keys["file"])) if "file" in keys else None
