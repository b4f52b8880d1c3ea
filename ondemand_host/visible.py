"""What others wrote, made fit for a terminal.

Knows which characters steer a terminal, turn the reading direction, end a line or can't be seen, and how each is written
instead; hides nothing.  All that `ondemand-pkg` and `ondemand` print goes through here; helpers/process.py has the same rule.
"""

import json
from typing import Any

_RAW_BYTES = range(0xDC80, 0xDD00)  # how Python keeps the bytes of a name that are not UTF-8


def visible(text: "str", keep: "str" = "") -> "str":
    r"""Return a text on one line, with an escape for each unseen character that is not in ``keep``.

    Escapes are those of Python: `\n`, `\x1b`, `\u202e`; a byte of a name that is not UTF-8 is `\xff`.
    """
    if text.isprintable():
        return text
    return "".join(character if _is_seen(character) or character in keep else _escaped(character) for character in text)


def as_json(value: "Any") -> "str":
    """Return a value as JSON on several lines; what a terminal would obey is escaped as JSON does."""
    lines = json.dumps(value, indent=2, ensure_ascii=False).split("\n")  # within a string, JSON escapes the line's end
    return "\n".join(line if line.isprintable() else
                     "".join(character if _is_seen(character) else json.dumps(character)[1:-1] for character in line)
                     for line in lines)


def _is_seen(character: "str") -> "bool":
    """Tell whether a character is seen; the spaces of other scripts and of typography are, too, for Python not."""
    return character.isprintable() or (character > "\x9f" and character.isspace() and character not in "\u2028\u2029")


def _escaped(character: "str") -> "str":
    if ord(character) in _RAW_BYTES:
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
