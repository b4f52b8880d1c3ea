"""YAML with the place of every value.

Knows the part of YAML that Compose files use (YAML 1.2's core types, anchors, merge keys, Compose's own tags) and how much of
it a file may ask for; hides PyYAML, of which only the parser of events is used, so that depth and size are bounded here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import yaml

from ondemand_pkg.errors import DeclarationError, Fault
from ondemand_pkg.frozen import frozen
from ondemand_pkg.importing import source_file

DEEPEST = 50  # levels
MOST_MERGED = 100_000  # keys that `<<` brings in, over the whole file
MOST_DOCUMENTS = 20
TAGS = ("!reset", "!override")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"([-+]?)(?:0x([0-9a-f]{1,30})|0o([0-7]{1,30})|0b([01]{1,80})|0([0-7]{1,30})|([0-9]{1,30}))", re.IGNORECASE)
_BASES = (16, 8, 2, 8, 10)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?")
_CONSTANTS = {"": None, "~": None, "null": None, "Null": None, "NULL": None, "true": True, "True": True, "TRUE": True,
              "false": False, "False": False, "FALSE": False,
              **{f"{sign}{text}": float(f"{sign}inf") for sign in ("", "+", "-") for text in (".inf", ".Inf", ".INF")},
              **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan)}


@frozen
class Located:
    """A value and where it stands: the file and the line, from 1; lists and dicts hold further ones.

    ``is_own`` tells whether the file alone says what a scalar is, no variable does.  ``tag`` is one of TAGS or empty;
    ``is_tagged`` tells whether it or anything in it has one.
    """

    line: int
    value: Any
    path: str = ""
    is_own: bool = True
    tag: str = ""
    is_tagged: bool = False

    __eq__, __hash__ = object.__eq__, object.__hash__  # by identity: aliases make small files into endless values

    @property
    def place(self) -> str:
        """FILE:LINE."""
        return f"{self.path}:{self.line}"

    def holding(self, value: Any) -> Located:
        """Return another value at the same place."""
        return replace(self, value=value)


def documents(path: str, text: str | None = None) -> list[Located]:
    """Return the documents of a YAML file, which is read unless its ``text`` is given.

    Raises DeclarationError for what can't be read, is no YAML, or asks for more than this module bounds.
    """
    return _Builder(path, _checked(path, source_file.read(path) if text is None else text)).documents()


def _checked(path: str, text: str) -> str:
    wrong = re.search(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
    if wrong:
        line = text.count("\n", 0, wrong.start()) + 1
        raise DeclarationError([Fault(path, line, "", f"U+{ord(wrong[0]):04X} is not allowed in a YAML file", "remove it")])
    return text


class _Builder:
    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text
        self._anchors: dict[str, Located] = {}
        self._merged = 0

    def _fault(self, line: int, finding: str, remedy: str = "") -> DeclarationError:
        return DeclarationError([Fault(self._path, line, "", finding, remedy)])

    def documents(self) -> list[Located]:
        events = self._events()
        found: list[Located] = []
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if len(found) == MOST_DOCUMENTS:
                    mark: Any = event.start_mark
                    raise self._fault(mark.line + 1, f"more than {MOST_DOCUMENTS} documents", "import each of them alone")
                self._anchors.clear()
                found.append(self._node(next(events), events, 0))
        return found or [Located(1, None, self._path)]

    def _events(self) -> Iterator[Any]:
        try:
            yield from yaml.parse(self._text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            marks: list[Any] = [mark for mark in (error.problem_mark, error.context_mark) if mark is not None]
            line = marks[0].line + 1 if marks else 0
            raise self._fault(line, f"invalid YAML: {error.problem or error.context}", self._hint(line)) from None
        except yaml.YAMLError as error:
            raise self._fault(0, f"invalid YAML: {' '.join(str(error).split())}") from None

    def _hint(self, line: int) -> str:
        lines = self._text.split("\n")
        shown = lines[line - 1] if 0 < line <= len(lines) else ""
        indentation = shown[:len(shown) - len(shown.lstrip())]
        return "YAML is indented with spaces, this line has a tab" if "\t" in indentation else ""

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> Located:
        line = event.start_mark.line + 1
        if depth > DEEPEST:
            raise self._fault(line, f"more than {DEEPEST} levels deep", "no Compose file is")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._fault(line, f"the anchor *{event.anchor} is not defined above")
            return self._anchors[event.anchor]
        tag = event.tag if event.tag in TAGS else ""
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            value, is_tagged = self._scalar(event, line), False
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(events, depth)
            is_tagged = any(item.is_tagged for item in value)
        else:
            value = self._mapping(events, depth)
            is_tagged = any(item.is_tagged for item in value.values())
        found = Located(line, value, self._path, True, tag, bool(tag) or is_tagged)
        if event.anchor:
            self._anchors[event.anchor] = found
        return found

    def _sequence(self, events: Iterator[Any], depth: int) -> list[Located]:
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self._node(event, events, depth + 1))
        return items

    def _mapping(self, events: Iterator[Any], depth: int) -> dict[str, Located]:
        own: dict[str, Located] = {}
        merged: dict[str, Located] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            is_merge = isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]
            name = self._node(event, events, depth + 1).value
            if isinstance(name, list | dict):
                raise self._fault(line, "a list or a mapping can't be a key")
            value = self._node(next(events), events, depth + 1)
            if is_merge:
                self._merge(merged, value, line)
                continue
            name = scalar_text(name)
            if name in own:
                raise self._fault(line, f"the key {name!r} occurs twice", "leave one of them out")
            own[name] = value
        return {**merged, **own}

    def _merge(self, into: dict[str, Located], value: Located, line: int) -> None:
        """Bring in the keys of `<<`: one mapping, or several of which the first that has a key wins."""
        sources = value.value if isinstance(value.value, list) else [value]
        for source in sources:
            if not isinstance(source.value, dict):
                raise self._fault(line, "only mappings can be merged with <<")
            self._merged += len(source.value)
            if self._merged > MOST_MERGED:
                raise self._fault(line, f"merge keys bring in more than {MOST_MERGED} keys")
            for name, item in source.value.items():
                into.setdefault(name, item)

    def _scalar(self, event: Any, line: int) -> Any:
        """Return what a scalar stands for, as Compose's own YAML library takes it."""
        text: str = event.value
        if event.tag == "!!str" or event.tag == "tag:yaml.org,2002:str" or (not event.tag and event.style):
            return text
        if event.tag and event.tag not in TAGS and not event.tag.startswith("tag:yaml.org,2002:"):
            raise self._fault(line, f"the tag {event.tag} is unknown", "write the value without it")
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        plain = text if text[:1] == "_" else text.replace("_", "")
        if integer := _INTEGER.fullmatch(plain):
            digits, base = next((part, base) for part, base in zip(integer.groups()[1:], _BASES, strict=True) if part)
            number = int(digits, base) * (-1 if integer[1] == "-" else 1)
            return number if -2**63 <= number < 2**64 else float(number)
        return float(plain) if _FLOAT.fullmatch(plain) and math.isfinite(float(plain)) else text


def scalar_text(value: Any) -> str:
    """Return a scalar as Compose puts it into an environment or a label."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, float):
        return str(value)
    return _float_text(value) if math.isfinite(value) else {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")


def _float_text(value: float) -> str:
    """Return a number as Go prints it: the fewest digits, an exponent above a million and below a ten thousandth."""
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    shown = "".join(map(str, digits)).rstrip("0") or "0"
    assert isinstance(exponent, int)
    power = len(digits) + exponent - 1 if value else 0
    if -4 <= power < 6:
        text = format(Decimal(repr(value)), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa = shown[0] + (f".{shown[1:]}" if len(shown) > 1 else "")
    return f"{'-' if sign else ''}{mantissa}e{power:+03d}"
