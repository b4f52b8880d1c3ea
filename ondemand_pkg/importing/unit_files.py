"""Units as systemd and Quadlet read them.

Knows lines, drop-ins, words with quotes and escapes, specifiers, and what systemd makes of `$` in a command; hides in which
file a value was.  Source: systemd.syntax(7), systemd.unit(5), systemd.service(5), podman-systemd.unit(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ondemand_pkg.errors import DeclarationError, Fault
from ondemand_pkg.frozen import frozen
from ondemand_pkg.importing import source_file

_MOST_WORDS = 20_000  # of a unit with its drop-ins
_SPACE = " \t\n\r"
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "s": " ", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", '"': '"', "'": "'"}
_NUMBERS = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})")
# Specifiers that mean the same on each host for a unit of the system, each with what it stands for.
_OF_SYSTEM = {"h": "/root", "t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc", "T": "/tmp", "V":
    "/var/tmp",
              "u": "root", "U": "0", "g": "root", "G": "0", "s": "/bin/sh", "D": "/usr/share"}
_OF_USER = "htSCLEuUgGsD"  # of these, a unit of a user has others
_VARIABLE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_WHOLE_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")


@frozen
class Assignment:
    """One KEY=VALUE of a unit or of its drop-ins."""

    path: str
    line: int
    section: str
    key: str
    value: str

    @property
    def place(self) -> str:
        """FILE:LINE."""
        return f"{self.path}:{self.line}"

    def words(self, unescapes: bool = True) -> list[str]:
        """Return the words of its value, less quotes; raises DeclarationError for a quote without end."""
        try:
            return words(self.value, unescapes)
        except ValueError as error:
            raise DeclarationError([Fault(self.path, self.line, "", str(error), "close it")]) from None


class Unit:
    """One unit with its drop-ins; an empty assignment has taken back those above it."""

    def __init__(self, path: str, drop_ins: Sequence[str] = (), file_name: str = "") -> None:
        """Read a file and then its drop-ins; ``file_name`` is that of an instance, where the file is its template."""
        self.path = path
        self.file_name = file_name or Path(path).name
        self.name, _, self.kind = self.file_name.rpartition(".")
        self.outside: list[str] = []  # drop-ins that are outside the directory, and are not read
        found = [one for part in (path, *drop_ins) for one in _assignments(part)]
        if sum(1 + len(one.value.split()) for one in found) > _MOST_WORDS:
            raise DeclarationError([Fault(path, 0, "", f"more than {_MOST_WORDS} lines and words", "import a smaller file")])
        last_reset = {(one.section, one.key): index for index, one in enumerate(found) if not one.value}
        self.assignments = [one for index, one in enumerate(found) if index > last_reset.get((one.section, one.key), -1)]
        self.sections = {one.section for one in found}
        self._by_key: dict[tuple[str, str], list[Assignment]] = {}
        for one in self.assignments:
            self._by_key.setdefault((one.section, one.key), []).append(one)

    def all(self, section: str, key: str) -> list[Assignment]:
        """Return the assignments of a key, in their order."""
        return self._by_key.get((section, key), [])

    def last(self, section: str, key: str) -> str:
        """Return the value that counts of a key that takes one, or nothing."""
        found = self.all(section, key)
        return found[-1].value if found else ""

    def service(self, section: str) -> str:
        """Return the name, without its suffix, of the service that the unit becomes."""
        ending = "" if self.kind == "container" else f"-{self.kind}"
        return self.last(section, "ServiceName") or self.name + ending

    def expanded(self, text: str, service: str) -> tuple[str, list[str]]:
        """Return a text with its specifiers resolved, and those that stand for something else on each host or for each user."""
        if "%" not in text:
            return text, []
        prefix, at, instance = service.partition("@")
        of_unit = {"n": f"{service}.service", "N": service, "p": prefix, "P": prefix, "j": prefix.rpartition("-")[2],
                   "J": prefix.rpartition("-")[2]} | ({"i": instance, "I": instance} if not at or instance else {})
        doubtful: list[str] = []

        def resolved(match: re.Match[str]) -> str:
            letter = match[1]
            if letter == "%":
                return "%"
            if letter in of_unit:
                return of_unit[letter]
            if letter not in _OF_SYSTEM or letter in _OF_USER:
                doubtful.append(match[0])
            return _OF_SYSTEM.get(letter, match[0])

        return re.sub(r"%([A-Za-z%])", resolved, text), list(dict.fromkeys(doubtful))


def with_variables(text: str, known: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return a word of a command with its variables replaced, as systemd does before it runs it, and the names of unknown ones.

    `$$` is `$`; `${NAME}` is replaced anywhere, `$NAME` where it is the whole word.  What is unknown is left as it is.
    """
    if "$" not in text:
        return text, []
    unknown: list[str] = []

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        if match[1] not in known:
            unknown.append(match[1])
        return known.get(match[1], match[0])

    whole = _WHOLE_VARIABLE.fullmatch(text)
    return (value(whole) if whole else _VARIABLE.sub(value, text)), unknown


def words(text: str, unescapes: bool = True) -> list[str]:
    """Return the words of a text as systemd parts them, less quotes; raises ValueError for a quote without end."""
    found: list[str] = []
    word: list[str] | None = None
    quote = ""
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if character == "\\" and position < len(text):
            escape = _NUMBERS.match(text, position)
            word = [] if word is None else word
            if not unescapes:
                word.append("\\" + text[position])
                position += 1
            elif escape:
                word.append(_numbered(escape))
                position = escape.end()
            else:
                word.append(_ESCAPES.get(text[position], "\\" + text[position]))
                position += 1
        elif quote:
            if character == quote:
                quote = ""
            else:
                assert word is not None
                word.append(character)
        elif character in "\"'":
            quote, word = character, word or []
        elif character in _SPACE:
            if word is not None:
                found.append("".join(word))
            word = None
        else:
            word = [] if word is None else word
            word.append(character)
    if quote:
        raise ValueError("unbalanced quote")
    return found if word is None else [*found, "".join(word)]


def _numbered(escape: re.Match[str]) -> str:
    number = int(escape[4], 8) if escape[4] else int(next(group for group in escape.groups() if group), 16)
    return chr(number) if 0 < number < 0x110000 else escape[0]


def drop_in_directories(file_name: str) -> list[str]:
    """Return the names of the directories that drop-ins of a unit are in, the most particular last."""
    name, _, kind = file_name.rpartition(".")
    template, at, instance = name.partition("@")
    parts = template.split("-")
    return [f"{kind}.d", *(f"{'-'.join(parts[:index])}-.{kind}.d" for index in range(1, len(parts))),
            *([f"{template}@.{kind}.d"] if instance else []), f"{file_name}.d"]


def _assignments(path: str) -> Iterator[Assignment]:
    section = ""
    for line, text in _logical_lines(path):
        if text.startswith("[") and text.endswith("]"):
            section = text[1:-1]
            continue
        key, equals, value = text.partition("=")
        if not equals:
            raise DeclarationError([Fault(path, line, "", f"{text[:60]!r} is neither [SECTION] nor KEY=VALUE")])
        yield Assignment(path, line, section, key.strip(), value.strip())


def _logical_lines(path: str) -> Iterator[tuple[int, str]]:
    """Yield each line, continued ones joined by a space, with the number of its first; comments are left out."""
    text = source_file.read(path)
    if "\0" in text:
        place = text[:text.index("\0")].count("\n") + 1
        raise DeclarationError([Fault(path, place, "", "a NUL is not allowed in a unit", "remove it")])
    parts: list[str] = []
    first = 0
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        stripped = line.strip()
        if stripped.startswith(("#", ";")) or (not stripped and not parts):
            continue
        first = first if parts else number
        if stripped.endswith("\\"):
            parts.append(stripped[:-1].rstrip())
            continue
        yield first, " ".join([*parts, stripped]).strip()
        parts = []
    if parts:
        yield first, " ".join(parts)
