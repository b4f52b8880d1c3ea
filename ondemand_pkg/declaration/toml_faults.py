"""What is wrong with a text that is not TOML.

Knows the messages of tomllib, and what to write instead of what each complains about; hides their form.
"""

from __future__ import annotations

import re

from ondemand_pkg.declaration import writer


def syntax_fault(message: str, text: str) -> tuple[str, str, int]:
    """Return tomllib's message, what to do about it if that can be seen, and the line that it names."""
    stem, _, place = message.rpartition(" (at ")
    if not stem:
        return f"invalid TOML: {message}", "", 0
    told = f"invalid TOML: {stem[0].lower()}{stem[1:]}"
    if place.startswith("end of document"):
        return f"{told}, at the end of the file", _remedy(stem, [], 1), text.count("\n") + 1
    line = int(place.removeprefix("line ").split(",")[0])
    column = int(place.rstrip(")").rpartition("column ")[2])
    return f"{told}, at column {column}", _remedy(stem, text.split(chr(10))[line - 1:][:1], column), line


def _remedy(stem: str, lines: list[str], column: int) -> str:
    if stem.startswith("Cannot declare"):
        return "it is already declared above; rename this one, or move its keys there"
    if stem.startswith("Cannot overwrite"):
        return "the key is already set above; leave one of the two out"
    if stem.startswith("Unescaped '\\'"):
        return "write each backslash twice, or the text between single quotes"
    if stem.startswith("Unclosed array"):
        return "close it with ]"
    rest = lines[0][column - 1:].strip() if lines else ""
    if lines and lines[0][column - 1:column] == "\r":
        return "save the file with the line ends of Unix (LF) or Windows (CRLF)"
    if rest[:1] and not rest[:1].isprintable():
        return "remove this character, which can't be seen"
    if stem.startswith("Illegal character '\\n'"):
        return "a string ends on its line: close its quotes there"
    if stem.startswith("Expected '=' after a key"):
        return "write KEY = VALUE"
    if rest[:1] in tuple("\u201c\u201d\u201e\u2018\u2019"):
        return "write straight quotes"
    if stem.startswith("Invalid initial character for a key"):
        if not rest:
            return "write a table in braces on one line, or as a table of its own, such as [container.NAME.env]"
        return "leave out the comma before it" if rest.startswith("}") else "put the key into straight quotes"
    if stem.startswith("Expected ']' at the end of a table"):
        return "put a name with characters other than letters, digits, '_' and '-' into quotes" if rest else "close it with ]"
    if stem.startswith("Expected newline or end of document"):
        value = lines[0].partition("=")[2].partition("#")[0].strip() if lines else ""
        return f"strings need quotes: {writer.value(value)}" if re.fullmatch(r"\d[\w .:/-]*", value) else ""
    bare = re.match(r"[A-Za-z][^\s#\"']*", rest) if stem.startswith("Invalid value") else None
    return f"strings need quotes: {writer.value(bare[0])}" if bare else ""
