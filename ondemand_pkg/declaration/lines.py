"""Where the keys of a TOML file stand.

Knows the lines of statements; hides that tomllib, which does all of the parsing, tells values without places.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any


class KeyLines:
    """The line of each key of one TOML file, which must be valid."""

    def __init__(self, text: str) -> None:
        self._lines: dict[tuple[str, ...], int] = {}
        self._chunks: dict[int, list[str]] = {}
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
            for offset, line in enumerate(self._chunks.get(start, [])):
                if (f'"{found}"' in line or f"'{found}'" in line) if isinstance(found, str) else str(found) in line:
                    return start + offset
        return start


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, lines) of each statement: the fewest lines that are TOML by themselves."""
    chunk: list[str] = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        chunk.append(line)
        if len(chunk) == 1 and (not line.strip() or line.lstrip().startswith("#")):
            chunk = []
            continue
        try:
            tomllib.loads("\n".join(chunk))
        except tomllib.TOMLDecodeError:
            continue
        yield number - len(chunk) + 1, chunk
        chunk = []


def _single_path(value: Any) -> tuple[str, ...]:
    """Return the keys down to where more than one way goes on: the path of a single statement."""
    path: list[str] = []
    while isinstance(value, dict) and len(value) == 1:
        key, value = next(iter(value.items()))
        path.append(key)
    return tuple(path)
