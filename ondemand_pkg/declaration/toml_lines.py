"""Where the keys of a TOML file stand.

Knows the lines of statements; hides that tomllib, which does all of the parsing, tells values without places.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

# What may hold a bracket or a line end and is none, brackets, and line ends.
_TOKEN = (r'''"""(?:[^"\\]|\\.|"(?!""))*"{3,5}|"(?:[^"\\\n]|\\.)*"|#[^\n]*|[][{}\n]'''
          r"""|'{3}(?:[^']|'(?!''))*'{3,5}|'[^'\n]*'""")
_VALUE = r'''"((?:[^"\\]|\\.)*)"|'([^']*)'|[-+.\w]+'''


class KeyLines:
    """The line of each key of one TOML file, which must be valid."""

    def __init__(self, text: str) -> None:
        self._lines: dict[tuple[str, ...], int] = {}
        self._chunks: dict[int, list[str]] = {}
        self._values: dict[int, dict[str, int]] = {}
        header: tuple[str, ...] = ()
        for number, chunk in _statements(text):
            path = _single_path(tomllib.loads("\n".join(chunk)))
            if chunk[0].lstrip().startswith("["):
                header = path
            else:
                path = header + path
            self._chunks[number] = chunk
            for depth in range(1, len(path) + 1):
                self._lines.setdefault(path[:depth], number)

    def of(self, *path: str) -> int:
        """Return the line of a key, that of the nearest one above where it has none of its own, or 0."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 0)

    def of_value(self, found: Any, *path: str) -> int:
        """Return the line on which a part of a key's value stands, so far as its text shows it."""
        start = self.of(*path)
        if isinstance(found, str | int | float):
            if start not in self._values:
                self._values[start] = _first_lines(self._chunks.get(start, []))
            return start + self._values[start].get(found if isinstance(found, str) else str(found), 0)
        return start


def _first_lines(lines: list[str]) -> dict[str, int]:
    """Return on which of some lines each string, and each number, stands first."""
    found: dict[str, int] = {}
    for offset, line in enumerate(lines):
        for value in re.finditer(_VALUE, line):
            found.setdefault(value[1] or value[2] or value[0], offset)
    return found


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, lines) of each statement of valid TOML, which ends with a line outside brackets and strings."""
    text = text.replace("\r\n", "\n")
    lines = text.split("\n")
    first = number = 1
    depth = 0
    for token in re.finditer(_TOKEN, text + "\n", re.DOTALL):
        depth += (token[0] in "[{") - (token[0] in "]}")
        number += token[0].count("\n")
        if token[0] == "\n" and depth == 0:
            chunk = lines[first - 1:number - 1]
            if chunk[0].strip() and not chunk[0].lstrip().startswith("#"):
                yield first, chunk
            first = number


def _single_path(value: Any) -> tuple[str, ...]:
    """Return the keys down to where more than one way goes on: the path of a single statement."""
    path: list[str] = []
    while isinstance(value, dict) and len(value) == 1:
        key, value = next(iter(value.items()))
        path.append(key)
    return tuple(path)
