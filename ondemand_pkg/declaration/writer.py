"""Declarations, written to files.

Knows TOML's syntax of values and how a declaration is laid out for a reader; hides escapes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import date
from typing import Any

from ondemand_pkg.frozen import frozen

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_WIDTH = 100  # columns that an array or a table may take on one line
# What is not seen, or turns the reading direction, is written as what it is.  Listed one by one: Unicode's categories change from
# one version of Python to the next, and the bytes of a package must not.
_UNSEEN_CHARACTERS = (r"\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
                      r"\U000e0000-\U000e007f")
_UNSEEN = re.compile(f"[{_UNSEEN_CHARACTERS}]")
_ESCAPED = re.compile(rf'["\\{_UNSEEN_CHARACTERS}]')
_SHORT_ESCAPES = {"\\": "\\\\", '"': '\\"', "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


@frozen
class Table:
    """One [container.NAME]: its values by key, in their order, the remarks above it and above single keys.

    ``kind`` is what stands before the name.
    """

    name: str
    values: Mapping[str, Any]
    remarks: Sequence[str] = ()
    of_key: Mapping[str, Sequence[str]] = field(default_factory=dict)
    kind: str = "container"


def declaration(tables: Sequence[Table], remarks: Sequence[str] = ()) -> str:
    """Return the text of a declaration; remarks become comments, those of keys without a value included.

    Values are what TOML has: strings, booleans, integers, floats, dates, lists, dicts.  Raises ValueError for anything else and
    for a string with a surrogate, which no TOML file can hold.
    """
    blocks = ["".join(map(_comment, remarks))] if remarks else []
    for table in tables:
        head = f"{table.kind}.{key(table.name)}"
        lines = [*map(_comment, table.remarks), f"[{head}]\n"]
        below = {name: item for name, item in table.values.items() if isinstance(item, Mapping) and len(value(item)) > _WIDTH}
        for name, item in table.values.items():
            if name not in below:
                lines += [*map(_comment, table.of_key.get(name, ())), f"{key(name)} = {_laid_out(item)}\n"]
        for name, texts in table.of_key.items():
            if name not in table.values:
                lines += map(_comment, texts)
        for name, item in below.items():  # whatever follows such a head belongs to it
            lines += ["\n", *map(_comment, table.of_key.get(name, ())), f"[{head}.{key(name)}]\n"]
            lines += [f"{key(inner)} = {_laid_out(part)}\n" for inner, part in item.items()]
        blocks.append("".join(lines))
    return "\n".join(blocks)


def key(name: str) -> str:
    """Return a key, in quotes where it needs them."""
    return name if _BARE_KEY.fullmatch(name) else value(name)


def value(item: Any) -> str:
    """Return a value on one line."""
    if isinstance(item, bool):
        return str(item).lower()
    if isinstance(item, int | float):
        return repr(item)
    if isinstance(item, date):
        return item.isoformat()
    if isinstance(item, str):
        return '"' + _ESCAPED.sub(_escaped, item) + '"'
    if isinstance(item, list | tuple):
        return "[" + ", ".join(map(value, item)) + "]"
    if isinstance(item, Mapping):
        return "{ " + ", ".join(f"{key(name)} = {value(inner)}" for name, inner in item.items()) + " }" if item else "{}"
    raise ValueError(f"TOML does not have a type for {type(item).__name__}")


def _laid_out(item: Any) -> str:
    """Return a value, an array that is too long for a line with a line for each element."""
    line = value(item)
    if isinstance(item, list | tuple) and len(line) > _WIDTH and len(item) > 1:
        return "[\n" + "".join(f"    {value(element)},\n" for element in item) + "]"
    return line


def _escaped(match: re.Match[str]) -> str:
    character, code = match[0], ord(match[0])
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    if 0xD800 <= code <= 0xDFFF:
        raise ValueError(f"U+{code:04X} is not allowed in a TOML file")
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


def _comment(text: str) -> str:
    """Return a comment, a line for each line of the text; an empty text is an empty comment line."""
    return "".join(f"# {_UNSEEN.sub('?', line)}".rstrip() + "\n" for line in text.split("\n"))
