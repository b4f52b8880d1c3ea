"""The kinds of value that any key of the declaration may take.

Knows how a TOML value becomes a checked Python value, what is allowed, and how JSON Schema says so; hides the patterns behind
``parse``.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from datetime import date, datetime
from typing import Any

from ondemand_pkg.declaration import writer
from ondemand_pkg.errors import joined
from ondemand_pkg.frozen import frozen


@frozen
class Mistake:
    """One thing that is wrong in a value.

    ``where`` is the path below the key (``[2]``, ``.timeout``), ``found`` what stands there, ``remedy`` what is allowed instead,
    ``why`` what is wrong with it, empty where the remedy says so.
    """

    found: Any
    remedy: str
    where: str = ""
    why: str = ""

    def __str__(self) -> str:
        return joined(self.why, self.remedy)


class Invalid(ValueError):
    """A value that is not allowed, by everything that is wrong in it."""

    def __init__(self, found: Any, remedy: str, where: str = "", why: str = "") -> None:
        super().__init__(remedy)
        self.mistakes: tuple[Mistake, ...] = (Mistake(found, remedy, where, why),)


class Parts:
    """The parts of a value, each checked by itself, so that what is wrong in all of them is told at once."""

    def __init__(self) -> None:
        self._mistakes: list[Mistake] = []

    @contextlib.contextmanager
    def part(self, where: str) -> Iterator[None]:
        """Keep what the block finds wrong in the part that stands at ``where``."""
        try:
            yield
        except Invalid as invalid:
            self._mistakes += [replace(mistake, where=where + mistake.where) for mistake in invalid.mistakes]

    def check(self) -> None:
        """Raise Invalid if something is wrong in any part."""
        if self._mistakes:
            invalid = Invalid(self._mistakes[0].found, self._mistakes[0].remedy)
            invalid.mistakes = tuple(self._mistakes)
            raise invalid


@frozen
class Value:
    """A kind of value: ``parse`` turns what TOML gave into what the model holds, or raises Invalid."""

    allowed: str
    parse: Callable[[Any], Any]
    schema: Mapping[str, Any] = field(default_factory=dict)


def toml_type(value: Any) -> str:
    """Name the TOML type of a value, with its article."""
    names = {bool: "a boolean", str: "a string", int: "an integer", float: "a float", list: "an array",
             dict: "a table", date: "a date", datetime: "a date and time"}
    return names.get(type(value), f"a {type(value).__name__}")


def expect(value: Any, kind: type, allowed: str) -> None:
    """Raise Invalid unless a value is of one of TOML's types."""
    if type(value) is not kind:
        raise Invalid(value, f"expected {allowed}, not {toml_type(value)}")


def check_text(value: str, allowed: str) -> None:
    """Refuse what no unit file, control field or package header can carry.

    Control characters and line separators end a line somewhere; systemd takes a line with a noncharacter for
    invalid UTF-8 and ignores it (unichar_is_valid); bidirectional controls show another text than the one that is there.
    """
    for character in () if value.isprintable() else value:
        code = ord(character)
        if (unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or code & 0xFFFE == 0xFFFE
                or 0xFDD0 <= code <= 0xFDEF or 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069 or code == 0xFEFF):
            raise Invalid(value, f"allowed: {allowed}", why=f"U+{code:04X} is not allowed in it")


def pattern(expression: str, allowed: str, flags: int = 0) -> Value:
    """A string that matches a regular expression as a whole, which is compiled for the first value that it checks."""

    def parse(value: Any) -> str:
        if type(value) in (int, float) and re.fullmatch(expression, str(value), flags):
            raise Invalid(value, f'write "{value}"', why=f"expected a string, not {toml_type(value)}")
        expect(value, str, allowed)
        check_text(value, allowed)
        if not re.fullmatch(expression, value, flags):
            raise Invalid(value, f"allowed: {allowed}")
        return str(value)

    return Value(allowed, parse, {"type": "string", "pattern": f"^(?:{expression})$"})


def line(allowed: str, longest: int) -> Value:
    """One line of text, of at most ``longest`` characters, without white space around it."""

    def parse(value: Any) -> str:
        expect(value, str, allowed)
        check_text(value, allowed)
        if not value.strip() or value != value.strip() or len(value) > longest:
            raise Invalid(value, f"allowed: {allowed}, 1 to {longest} characters, without leading or trailing white space")
        return str(value)

    return Value(allowed, parse, {"type": "string", "minLength": 1, "maxLength": longest})


def _argument(value: Any) -> str:
    expect(value, str, "a string")
    if "\0" in value:
        raise Invalid(value, "allowed: a string without NUL")
    return str(value)


ARGUMENT = Value("a string", _argument, {"type": "string"})


def array(item: Value, minimum: int = 0) -> Value:
    """An array of values of one kind, each at most once unless it is an argument."""

    def parse(value: Any) -> tuple[Any, ...]:
        allowed = f"an array of: {item.allowed}"
        if type(value) is not list:
            if type(value) is str:
                raise Invalid(value, f"write [{writer.value(value)}]", why=f"expected {allowed}, not a string")
            expect(value, list, allowed)
        if len(value) < minimum:
            raise Invalid(value, f"allowed: {allowed}, at least {minimum}")
        parsed, parts = [], Parts()
        for index, element in enumerate(value):
            with parts.part(f"[{index}]"):
                parsed.append(item.parse(element))
        parts.check()
        return tuple(parsed)

    schema: dict[str, Any] = {"type": "array", "items": dict(item.schema)}
    if minimum:
        schema["minItems"] = minimum
    return Value(f"an array of: {item.allowed}", parse, schema)


def mapping(key: Value, item: Value) -> Value:
    """A table from keys of one kind to values of one kind."""
    allowed = f"a table of {key.allowed} = {item.allowed}"

    def parse(value: Any) -> dict[str, Any]:
        if type(value) is list and value and all(type(element) is str and "=" in element for element in value):
            table = writer.value(dict(element.split("=", 1) for element in value))
            raise Invalid(value, f"write {table}", why=f"expected {allowed}, not an array")
        expect(value, dict, allowed)
        parsed, parts = {}, Parts()
        for name, element in value.items():
            with parts.part(f".{name}"):
                key.parse(name)
                if type(element) in (int, float, bool):
                    written = str(element).lower() if type(element) is bool else str(element)
                    raise Invalid(element, f'write "{written}"', why=f"expected {item.allowed}, not {toml_type(element)}")
                parsed[name] = item.parse(element)
        parts.check()
        return parsed

    return Value(allowed, parse, {"type": "object", "additionalProperties": dict(item.schema)})


def integer(lowest: int, highest: int) -> Value:
    """A whole number within bounds."""
    allowed = f"an integer from {lowest} to {highest}"

    def parse(value: Any) -> int:
        expect(value, int, allowed)
        if not lowest <= value <= highest:
            raise Invalid(value, f"allowed: {allowed}")
        return int(value)

    return Value(allowed, parse, {"type": "integer", "minimum": lowest, "maximum": highest})


def _boolean(value: Any) -> bool:
    expect(value, bool, "true or false")
    return bool(value)


BOOLEAN = Value("true or false", _boolean, {"type": "boolean"})


def choice(*words: str) -> Value:
    """One of some words."""
    allowed = " or ".join(f'"{word}"' for word in words)

    def parse(value: Any) -> str:
        expect(value, str, allowed)
        if value not in words:
            raise Invalid(value, f"allowed: {allowed}")
        return str(value)

    return Value(allowed, parse, {"enum": list(words)})


# systemd.time(7), "Parsing Time Spans"
_SECONDS = {
    "usec": 1e-6, "us": 1e-6, "µs": 1e-6, "msec": 1e-3, "ms": 1e-3,
    "seconds": 1, "second": 1, "sec": 1, "s": 1, "": 1,
    "minutes": 60, "minute": 60, "min": 60, "m": 60,
    "hours": 3600, "hour": 3600, "hr": 3600, "h": 3600,
    "days": 86400, "day": 86400, "d": 86400, "weeks": 604800, "week": 604800, "w": 604800,
}
_SPAN_PART = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zµ]*)")
SPAN = 'a time span above 0 as systemd writes it, such as "10s", "1min 30s" or "2h"'


def time_span(value: Any, allowed: str = SPAN) -> float:
    """Return a time span in seconds (systemd.time(7)); raise Invalid, which says what is ``allowed``."""
    expect(value, str, allowed)
    position, total = 0, 0.0
    text = value.rstrip()
    while position < len(text):
        part = _SPAN_PART.match(text, position)
        if part is None or part[2] not in _SECONDS:
            raise Invalid(value, f"allowed: {allowed}")
        total += float(part[1]) * _SECONDS[part[2]]
        position = part.end()
    if not 0 < total < 1e9:
        raise Invalid(value, f"allowed: {allowed}")
    return total


TIME_SPAN = Value(SPAN, time_span, {"type": "string"})
