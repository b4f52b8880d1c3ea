"""Files of variables, `.env` and those of `env_file`, as Compose reads them.

Knows quotes over several lines, escapes, comments, names without a value, and the format `raw`; hides the parser.
Source: Compose specification, "env_file" and "Interpolation".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ondemand_pkg.frozen import frozen
from ondemand_pkg.importing.interpolation import Layers, Unset, interpolate

_LARGEST = 4 << 20  # characters of all values: a variable may be used many times
_SPACE = re.compile(r"(?:\s|#[^\n]*(?:\n|$))*")  # and comments
_NAME = re.compile(r"(?:export[ \t\v\f\r]+)?([\w.\[\]-]+)[ \t\v\f\r]*(?:([=:])[ \t\v\f\r]*|(?=\n|$))")
_QUOTED = {quote: re.compile(rf"{quote}((?:[^{quote}\\]|\\.)*){quote}", re.DOTALL) for quote in "'\""}
_ESCAPE = re.compile(r'\\([abfnrtv$"\\]|0[0-3][0-7]{2})')
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "$": "$$", '"': '"', "\\": "\\"}


class Malformed(ValueError):
    """The file is none that Compose would read; the text says where and why."""


@frozen
class Variable:
    """What a file says of a variable, and the line, from 1, on which it begins."""

    value: str
    line: int


def read(text: str, known: Mapping[str, str], missing: set[str]) -> dict[str, Variable]:
    """Return the variables of a file; those in ``known`` are used in its values, and win over those set above.

    A name without a value is that of a known one, or left out.  Names that values use and that are set nowhere go into
    ``missing``.  Raises Malformed.
    """
    found: dict[str, Variable] = {}
    set_here: dict[str, str] = {}
    used = Layers(known, set_here)
    position = size = 0
    text = text.replace("\r\n", "\n")
    line = _Lines(text)
    while (position := _end(_SPACE.match(text, position))) < len(text):
        name = _NAME.match(text, position)
        if name is None:
            raise Malformed(f"line {line.of(position)}: not a NAME=value line")
        begin, position = position, name.end()
        if name[2]:
            raw, position, is_literal = _value(text, position, line.of)
            value = raw if is_literal else _replaced(raw, used, missing)
        elif name[1] in known:
            value = known[name[1]]
        else:
            continue
        size += len(value)
        if size > _LARGEST:
            raise Malformed(f"line {line.of(begin)}: its variables make it larger than {_LARGEST >> 20} MiB")
        found[name[1]] = Variable(value, line.of(begin))
        set_here[name[1]] = value
    return found


def read_raw(text: str) -> dict[str, Variable]:
    """Return the variables of a file in the format `raw`: a line each, all behind the first `=` is the value."""
    found = {}
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        name, equals, value = line.lstrip().partition("=")
        if equals and name and not name.startswith("#"):
            found[name] = Variable(value, number)
    return found


class _Lines:
    """The numbers of lines, asked for positions that only grow."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position, self._number = 0, 1

    def of(self, position: int) -> int:
        self._number += self._text.count("\n", self._position, position)
        self._position = max(self._position, position)
        return self._number


def _end(match: re.Match[str] | None) -> int:
    assert match is not None  # it matches the empty text
    return match.end()


def _value(text: str, position: int, line_of: Callable[[int], int]) -> tuple[str, int, bool]:
    """Return the value that begins at a position, where what follows begins, and whether it is to be taken as it is."""
    quote = text[position:position + 1]
    if quote not in _QUOTED:
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        return text[position:end].partition(" #")[0].rstrip(), end, False
    match = _QUOTED[quote].match(text, position)
    if match is None:
        raise Malformed(f"line {line_of(position)}: the quote {quote} is not closed")
    raw = match[1].replace(f"\\{quote}", quote) if quote == "'" else _ESCAPE.sub(_escaped, match[1])
    return raw, match.end(), quote == "'"


def _escaped(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1]) or chr(int(match[1], 8))


def _replaced(value: str, variables: Mapping[str, str], missing: set[str]) -> str:
    try:
        return interpolate(value, variables, missing)
    except Unset:
        return value
