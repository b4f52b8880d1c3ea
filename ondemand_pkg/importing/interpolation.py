"""Variables in Compose files.

Knows the forms of `$VARIABLE` that Compose replaces, and the `.env` file from which they come; hides the parser.
Source: Compose specification, "Interpolation"; dotenv files as Compose reads them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":-|-|:\?|\?|:\+|\+")
_DEEPEST = 20
_LONGEST = 1 << 20
_DOTENV_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*[=:](.*)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$$"}


class Unset(ValueError):
    """A variable is not set though it must be, or a form is none of Compose's; the text says which and what to do."""


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
        raise Unset(f"{text[position - 2:position + 40]!r} is no variable; write $$ for the character itself")
    operator = _OPERATOR.match(text, name.end())
    if operator is None:
        if text[name.end():name.end() + 1] != "}":
            raise Unset(f"{text[position - 2:position + 40]!r} is no form that Compose knows")
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


def dotenv(text: str) -> dict[str, str]:
    """Return the variables of a `.env` or `env_file` file; a line that sets none is passed over.

    A value in single quotes is literal, one in double quotes knows escapes, ` #` begins a comment elsewhere; variables set
    above are replaced.
    """
    found: dict[str, str] = {}
    for line in text.replace("\r\n", "\n").split("\n"):
        match = _DOTENV_LINE.fullmatch(line)
        if match is None or line.lstrip().startswith("#"):
            continue
        raw = match[2].strip()
        quote = raw[:1]
        if quote == "'" and raw.find("'", 1) > 0:
            found[match[1]] = raw[1:raw.index("'", 1)]
            continue
        if quote == '"':
            quoted = re.match(r'"((?:[^"\\]|\\.)*)"', raw)
            value = re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[0]), quoted[1]) if quoted else raw
        else:
            value = re.split(r"\s#", raw, maxsplit=1)[0].rstrip()
        try:
            found[match[1]] = interpolate(value, found, set())
        except Unset:
            found[match[1]] = value
    return found
