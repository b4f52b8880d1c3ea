"""The options of the engines' create commands, and how the commands read them.

Knows which options exist, which take a value, and in which releases of which engine: create_options.json, which
tools/engine-options asks from the commands; hides the table's form and how words become options.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ondemand_pkg.engines import option_values
from ondemand_pkg.frozen import frozen

_VALUE, _SWITCH = "value", "switch"  # the third kind, "optional", takes a value behind "=" only
_NEAREST = 50  # wrong words of one reading for which a near option is looked for
_DASHES = "-\u2013\u2014"  # word processors make the longer ones
_TABLE = Path(__file__).parent / "create_options.json"
_BOOLEANS = {"1": True, "t": True, "T": True, "TRUE": True, "true": True, "True": True,  # as the commands read them
             "0": False, "f": False, "F": False, "FALSE": False, "false": False, "False": False}


@frozen
class Option:
    """One option that a create command takes; ``commands`` are titles such as those of ``commands()``."""

    name: str
    kind: str
    commands: frozenset[str]

    @property
    def takes_value(self) -> bool:
        """Whether the next word is its value where there is no "="."""
        return self.kind == _VALUE

    def narrowed(self, engines: frozenset[str]) -> Option:
        """Return the same option less the commands of other engines."""
        left = frozenset(command for command in self.commands if command.partition(" ")[0] in engines)
        return Option(self.name, self.kind, left)

    @property
    def engines(self) -> frozenset[str]:
        """The names of the engines of which some release takes it, with the value that it has where it was given."""
        return frozenset(command.partition(" ")[0] for command in self.commands)


@frozen
class Given:
    """An option that was given: ``name`` is the long one, ``value`` "true" or "false" for a switch, ``index`` its word's.

    ``option`` has the commands that take it with this value.
    """

    name: str
    value: str
    index: int
    option: Option

    @property
    def told(self) -> str:
        """The option as a message names it: with its value where only that is not taken everywhere."""
        known = option(self.name)
        return f"{self.name}={self.value}" if known and known.commands != self.option.commands else self.name


@frozen
class Misread:
    """A word that the command would not take, or would take for something else; ``name`` is that of an unknown option."""

    index: int
    finding: str
    remedy: str
    name: str = ""


def commands() -> tuple[str, ...]:
    """Return the commands of the table, such as "podman 5.4", by name and release."""
    return _table()[0]


def option(name: str, of_run: bool = False) -> Option | None:
    """Return the option of a name with its dashes, another name of it included; ``of_run`` adds those that only "run" takes."""
    return _table()[1].get(name) or (_table()[2].get(name) if of_run else None)


@functools.lru_cache(256)
def nearest(name: str) -> str:
    """Return the long option whose name is nearest to one that does not exist, or nothing."""
    known = [known for known in _table()[1] if known.startswith("--")]
    import difflib  # for mistakes alone

    matches = difflib.get_close_matches("--" + name.lstrip(_DASHES).lower().replace("_", "-"), known, 1, 0.75)
    return matches[0] if matches else ""


def read(words: Sequence[str], may_have_arguments: bool = False,
         of_run: bool = False) -> tuple[list[Given], list[Misread], int]:
    """Return the options that words give, what is wrong with them, and at which index the arguments begin.

    Without ``may_have_arguments`` a word that belongs to no option is wrong, since it would be taken for the image.  ``of_run``
    adds the options that only "run" takes.
    """
    reading = _Reading(words, of_run)
    while reading.index < len(words):
        word = words[reading.index]
        if word.startswith("-") and word != "-":
            if word == "--":
                reading.index += 1
                if may_have_arguments:
                    break
                reading.wrong(reading.index - 1, "not allowed here: the image would be taken for an argument", "leave it out")
            elif word.startswith("--"):
                reading.long(word)
            else:
                reading.short(word)
        elif may_have_arguments:
            break
        else:
            reading.stray(word)
    return reading.given, reading.misread, reading.index


class _Reading:
    """Words on their way to options."""

    def __init__(self, words: Sequence[str], of_run: bool) -> None:
        self._words = words
        self._of_run = of_run
        self.index = 0
        self.given: list[Given] = []
        self.misread: list[Misread] = []

    def wrong(self, index: int, finding: str, remedy: str, name: str = "") -> None:
        self.misread.append(Misread(index, finding, remedy, name))

    def _nearest(self, name: str) -> str:
        """Look for a near option: that takes a millisecond, and many wrong words have one reason."""
        return nearest(name) if len(self.misread) < _NEAREST else ""

    def long(self, word: str) -> None:
        start = self.index
        self.index += 1
        name, equals, value = word.partition("=")
        if any(character.isspace() for character in name):
            self._two_in_one(start, word)
            return
        found = option(name, self._of_run)
        if found is None:
            near = self._nearest(name)
            self.wrong(start, f"there is no option {name!r}", f'did you mean "{near}{equals}{value}"?' if near else
                       "leave it out, or correct its name", name)
        elif equals:
            self._with_value(start, found, value)
        elif found.takes_value:
            self._next_word(start, found)
        else:
            self.given.append(Given(found.name, "true", start, found))

    def short(self, word: str) -> None:
        start = self.index
        self.index += 1
        rest = word[1:]
        while rest:
            letter, rest = rest[0], rest[1:]
            found = option(f"-{letter}", self._of_run)
            if found is None:
                name, equals, value = word.partition("=")
                near = self._nearest(name) if len(name) > 2 else ""
                self.wrong(start, f"there is no option '-{letter}'", f'did you mean "{near}{equals}{value}"?' if near else
                           "leave it out, or correct its name", f"-{letter}")
                return
            if rest.startswith("="):
                self._with_value(start, found, rest[1:])
                return
            if found.takes_value:
                if rest[:1].isspace():
                    self._two_in_one(start, word)
                elif rest:
                    self._with_value(start, found, rest)
                else:
                    self._next_word(start, found)
                return
            if rest[:1].isspace():
                self._two_in_one(start, word)
                return
            self.given.append(Given(found.name, "true", start, found))

    def stray(self, word: str) -> None:
        """A word that is not an option: the command would take it for the image."""
        self.index += 1
        before = self.given[-1] if self.given and self.given[-1].index == self.index - 2 else None
        bare = word.lstrip(_DASHES)
        name = re.split("[= ]", bare, maxsplit=1)[0]
        if before is not None and not before.option.takes_value and word in _BOOLEANS:
            written = self._words[before.index]
            remedy = f'write "{written}" alone' if _BOOLEANS[word] else f'write "{written}=false"'
        elif name and option(f"--{name}"):
            remedy = f'did you mean "--{bare.replace(" ", "=", 1)}"?'
        else:
            remedy = "leave it out, or write the option that it belongs to in front of it"
        self.wrong(self.index - 1, "it is neither an option nor the value of one: it would be taken for the image", remedy)

    def _next_word(self, start: int, found: Option) -> None:
        name = self._words[start]
        if self.index >= len(self._words):
            self.wrong(start, f"{name!r} needs a value", f'write "{found.name}=..."')
            return
        value = self._words[self.index]
        if value.startswith("--") and option(value.partition("=")[0]) is not None:
            self.wrong(start, f"{name!r} would take {value!r} for its value", f'write "{found.name}=..."')
            return
        self.index += 1
        self._take(start, found, value)

    def _with_value(self, start: int, found: Option, value: str) -> None:
        if found.kind == _SWITCH and value not in _BOOLEANS:
            self.wrong(start, f"{found.name!r} is a switch", f'write "{found.name}" or "{found.name}=false"')
            return
        if found.kind == _SWITCH:
            value = "true" if _BOOLEANS[value] else "false"
        self._take(start, found, value)

    def _take(self, start: int, found: Option, value: str) -> None:
        """Keep an option with its value; one that is taken by no engine is wrong, one that some take narrows them."""
        allowed, takers = option_values.fault(found.name, value) if found.kind == _VALUE else ("", None)
        if allowed:
            self.wrong(start, f"{found.name} does not take {value!r}", allowed)
            return
        self.given.append(Given(found.name, value, start, found if takers is None else found.narrowed(takers)))

    def _two_in_one(self, start: int, word: str) -> None:
        name, value = word.split(maxsplit=1) if len(word.split(maxsplit=1)) == 2 else (word.strip(), "")
        found = option(name)
        if found is None:
            near = self._nearest(name)
            remedy = f'did you mean "{near}={value}"?' if near else "leave it out, or correct its name"
        elif found.takes_value:
            remedy = f'write "{found.name}={value}"'
        else:
            remedy = f'write "{name}"'
        self.wrong(start, "option and value in one word" if value else "white space in an option", remedy)


@functools.cache
def _table() -> tuple[tuple[str, ...], dict[str, Option], dict[str, Option]]:
    data = json.loads(_TABLE.read_text(encoding="ascii"))
    of_create, of_run = ({name: Option(row.get("same_as") or name, row["kind"], frozenset(row.get("in") or data["commands"]))
                          for name, row in data[key].items()} for key in ("options", "run"))
    return tuple(data["commands"]), of_create, of_run


def titles(names: Iterable[str]) -> str:
    """Return the titles of commands as a text: "podman 4.3" is "Podman 4.3"."""
    return ", ".join(name.capitalize() for name in names)
