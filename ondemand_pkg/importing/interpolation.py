"""Variables in Compose files.

Knows the forms of `$VARIABLE` that Compose replaces; hides the parser.  Source: Compose specification, "Interpolation".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":-|-|:\?|\?|:\+|\+")
_DEEPEST = 20
_LONGEST = 1 << 20


class Unset(ValueError):
    """A variable is not set though it must be, or a form is none of Compose's; the text says which and what to do."""


class Layers(Mapping[str, str]):
    """Variables of several places; the first that has one wins."""

    def __init__(self, *places: Mapping[str, str]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> str:
        for place in self._places:
            if name in place:
                return place[name]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter({name for place in self._places for name in place})

    def __len__(self) -> int:
        return len({name for place in self._places for name in place})


def interpolate(text: str, variables: Mapping[str, str], missing: set[str]) -> str:
    """Return a text with its variables replaced; those that are not set and have no default go into ``missing``.

    Raises Unset for `${A:?message}` without A, for a form that Compose does not know, and for a text that grows past 1 MiB.
    """
    if "$" not in text:
        return text
    found, end = _until(text, 0, "", variables, missing, 0)
    assert end == len(text)
    return found


def _until(text: str, position: int, closing: str, variables: Mapping[str, str], missing: set[str],
           depth: int) -> tuple[str, int]:
    """Return the text up to a closing character that is not nested, replaced, and the position of that character."""
    if depth > _DEEPEST:
        raise Unset(f"defaults are nested more than {_DEEPEST} deep")
    parts: list[str] = []
    size = 0
    while position < len(text) and text[position] != closing:
        if text[position] != "$":
            end = position + 1
            while end < len(text) and text[end] != "$" and text[end] != closing:
                end += 1
            part, position = text[position:end], end
        elif text.startswith("$$", position):
            part, position = "$", position + 2
        elif text.startswith("${", position):
            part, position = _braced(text, position + 2, variables, missing, depth)
        else:
            name = _NAME.match(text, position + 1)
            if name is None:
                raise Unset(f"a single $ in {text[:80]!r}; write $$ for the character itself")
            part, position = _value(name[0], variables, missing), name.end()
        parts.append(part)
        size += len(part)
        if size > _LONGEST:
            raise Unset("its variables make it longer than 1 MiB")
    if closing and position >= len(text):
        raise Unset(f"${{ without }} in {text[:80]!r}")
    return "".join(parts), position


def _braced(text: str, position: int, variables: Mapping[str, str], missing: set[str], depth: int) -> tuple[str, int]:
    """Return what `${...}` stands for, and the position behind it."""
    name = _NAME.match(text, position)
    if name is None:
        raise Unset(f"{text[position - 2:position + 40]!r} is not a variable; write $$ for the character itself")
    operator = _OPERATOR.match(text, name.end())
    if operator is None:
        if text[name.end():name.end() + 1] != "}":
            raise Unset(f"{text[position - 2:position + 40]!r} is not a form that Compose supports")
        return _value(name[0], variables, missing), name.end() + 1
    sign = operator[0]
    value = variables.get(name[0])
    is_there = bool(value) if sign.startswith(":") else value is not None
    # What is not used is parsed for its end alone.
    unused: set[str] = set()
    takes_word = is_there if sign.endswith("+") else not is_there
    needed = missing if takes_word and not sign.endswith("?") else unused
    word, end = _until(text, operator.end(), "}", variables, needed, depth + 1)
    if sign.endswith("?") and not is_there:
        raise Unset(f"the variable {name[0]} must be set{': ' + word if word else ''}; set it in the environment or in .env")
    if sign.endswith("+"):
        return (word if is_there else ""), end + 1
    return (value if is_there and value is not None else word), end + 1


def _value(name: str, variables: Mapping[str, str], missing: set[str]) -> str:
    if name not in variables:
        missing.add(name)
    return variables.get(name, "")
