"""YAML with the line of every value.

Knows the part of YAML that Compose files use (YAML 1.2's core types, anchors, merge keys, one document) and how much of it
a file may ask for; hides PyYAML, of which only the parser of events is used, so that depth and size are bounded here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ondemand_pkg.errors import DeclarationError, Fault

LARGEST_FILE = 2**20  # bytes
DEEPEST = 50  # levels
MOST_MERGED = 100_000  # keys that `<<` brings in, over the whole file
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]{1,30}|0o[0-7]{1,30}|[0-9]{1,30})")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?")
_CONSTANTS = {"": None, "~": None, "null": None, "Null": None, "NULL": None, "true": True, "True": True, "TRUE": True,
              "false": False, "False": False, "FALSE": False}


@dataclass(frozen=True, eq=False)
class Located:
    """A value and the line, from 1, on which it stands; lists and dicts hold further ones."""

    line: int
    value: Any


def load(path: str) -> Located:
    """Return the content of a YAML file.

    Raises DeclarationError for what can't be read, is no YAML, or asks for more than this module bounds.
    """
    return _Builder(path, _text(path)).document()


def _text(path: str) -> str:
    try:
        with Path(path).open("rb") as stream:
            raw = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise DeclarationError([Fault(path, 0, "", f"can't be read: {error.strerror}; give a Compose file "
                                     "(compose.yaml) or a Quadlet file (NAME.container) of this machine")]) from None
    if len(raw) > LARGEST_FILE:
        raise DeclarationError([Fault(path, 0, "", f"larger than {LARGEST_FILE >> 20} MiB; import a smaller file")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DeclarationError([Fault(path, raw[:error.start].count(b"\n") + 1, "",
                                      "not UTF-8; save the file in that encoding")]) from None
    wrong = re.search(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
    if wrong:
        line = text.count("\n", 0, wrong.start()) + 1
        raise DeclarationError([Fault(path, line, "", f"U+{ord(wrong[0]):04X} can't stand in a YAML file; take it out")])
    return text


class _Builder:
    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text
        self._anchors: dict[str, Located] = {}
        self._merged = 0

    def _fault(self, line: int, message: str) -> DeclarationError:
        return DeclarationError([Fault(self._path, line, "", message)])

    def document(self) -> Located:
        events = self._events()
        found = Located(1, None)
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    mark: Any = event.start_mark
                    raise self._fault(mark.line + 1, "a second document begins here; import a file with one")
                found = self._node(next(events), events, 0)
        return found

    def _events(self) -> Iterator[Any]:
        try:
            yield from yaml.parse(self._text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            marks: list[Any] = [mark for mark in (error.problem_mark, error.context_mark) if mark is not None]
            line = marks[0].line + 1 if marks else 0
            raise self._fault(line, f"no valid YAML: {error.problem or error.context}{self._hint(line)}") from None
        except yaml.YAMLError as error:
            raise self._fault(0, f"no valid YAML: {' '.join(str(error).split())}") from None

    def _hint(self, line: int) -> str:
        lines = self._text.split("\n")
        shown = lines[line - 1] if 0 < line <= len(lines) else ""
        indentation = shown[:len(shown) - len(shown.lstrip())]
        return "; YAML is indented with spaces, this line has a tab" if "\t" in indentation else ""

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> Located:
        line = event.start_mark.line + 1
        if depth > DEEPEST:
            raise self._fault(line, f"more than {DEEPEST} levels deep; no Compose file is")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._fault(line, f"the anchor *{event.anchor} is not defined above")
            return self._anchors[event.anchor]
        if isinstance(event, yaml.ScalarEvent):
            found = Located(line, self._scalar(event, line))
        elif isinstance(event, yaml.SequenceStartEvent):
            found = Located(line, self._sequence(events, depth))
        else:
            found = Located(line, self._mapping(events, depth))
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
                raise self._fault(line, f"the key {name!r} stands twice; leave one of them out")
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
        if event.tag and not event.tag.startswith("tag:yaml.org,2002:"):
            raise self._fault(line, f"the tag {event.tag} is not known; write the value without it")
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if _INTEGER.fullmatch(text):
            digits = text.lstrip("+-").lower()
            octal = digits[0] == "0" and len(digits) > 1 and not set(digits) & {"8", "9"}
            return int(digits, 16 if digits.startswith("0x") else 8 if octal else 10) * (-1 if text[0] == "-" else 1)
        if _FLOAT.fullmatch(text):
            return float(text)
        return text


def scalar_text(value: Any) -> str:
    """Return a scalar as Compose puts it into an environment or a label."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
