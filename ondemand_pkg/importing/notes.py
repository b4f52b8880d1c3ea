"""What an import tells.

Knows which notes say the same of several services, and which come first; hides how they are joined.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ondemand_host.visible import visible
from ondemand_pkg.frozen import frozen


class Weight(enum.IntEnum):
    """How much a note matters."""

    LOSS = 0  # data, a secret or what keeps others out is at stake, or something does not work
    CHANGED = 1
    ROUTINE = 2  # as everybody expects; told with --verbose


@frozen
class Note:
    """Something that was not carried over, or not as it stood.

    ``place`` is FILE:LINE or another name for where it stands, ``what`` the key, ``instead`` what it became or what to do, with
    {NAME} for the container's name and {KEY} for what is behind the dot in ``what``.  ``service`` is whose key it is, by its name
    in the file; ``what`` is empty where it is all of it.
    """

    place: str
    what: str
    instead: str
    weight: Weight = Weight.CHANGED
    service: str = ""
    name: str = ""

    def __str__(self) -> str:
        # In the head of the declaration too, a foreign file must neither end the line nor steer the terminal.
        key = ".".join(filter(None, (self.service, self.what)))
        return visible(f"{self.place}: {key}: {self.message}")

    @property
    def message(self) -> str:
        """What it became or what to do, with its names."""
        return named(self.instead, [self.name] if self.name else []).replace("{KEY}", self.what.rpartition(".")[2])


def named(text: str, names: Sequence[str]) -> str:
    """Return a text with the names of containers for {NAME}, several as a shell would write them."""
    return text.replace("{NAME}", "NAME" if not names else names[0] if len(names) == 1 else "{" + ",".join(names) + "}")


_MOST = 12  # names that a line shows
_HEADS = {Weight.LOSS: "Lost, or at risk:", Weight.CHANGED: "Not imported, or changed:", Weight.ROUTINE: "As always:"}
_KIND = re.compile(r"[^. ]*")


def lines(notes: Iterable[Note], with_routine: bool) -> list[str]:
    """Return a line for each kind of note, those first by which most is lost."""
    groups: dict[tuple[Weight, str, str], list[Note]] = {}
    for note in dict.fromkeys(notes):
        kind = _KIND.match(note.what)
        groups.setdefault((note.weight, kind[0] if kind and note.service else note.what, note.instead), []).append(note)
    return [_line(kind, group) for (weight, kind, _), group in sorted(groups.items(), key=lambda item: item[0][0])
            if with_routine or weight is not Weight.ROUTINE]


def heads(notes: Sequence[Note]) -> list[str]:
    """Return the lines of all notes but routine ones for the head of a declaration, under a head for each weight."""
    found: list[str] = []
    for weight in (Weight.LOSS, Weight.CHANGED):
        of_weight = lines([note for note in notes if note.weight is weight], False)
        if of_weight:
            found += ["", _HEADS[weight], *(f"- {line}" for line in of_weight)]
    return found


def summary(notes: Sequence[Note], count: int) -> str:
    """Return a line that counts containers and notes."""
    numbers = {weight: len(lines([note for note in notes if note.weight is weight], True)) for weight in Weight}
    parts = [f"{numbers[weight]} {text}" for weight, text in (
        (Weight.LOSS, "to look at first"), (Weight.CHANGED, "on what changed"), (Weight.ROUTINE, "routine (--verbose)"))
        if numbers[weight]]
    return f"{count} container{'s' * (count != 1)}; notes: {', '.join(parts) or 'none'}"


def plain(notes: Iterable[Note]) -> list[dict[str, Any]]:
    """Return all notes as JSON has them."""
    return [{"place": note.place, "service": note.service, "key": note.what, "message": note.message,
             "container": note.name, "weight": note.weight.name.lower()} for note in dict.fromkeys(notes)]


def _line(kind: str, group: Sequence[Note]) -> str:
    if len(group) == 1:
        return str(group[0])
    first, *others = dict.fromkeys(note.place for note in group)
    services = list(dict.fromkeys(note.service for note in group if note.service))
    keys = list(dict.fromkeys(note.what for note in group))
    tails = [key[len(kind) + 1:] for key in keys]
    what = keys[0] if len(keys) == 1 else f"{kind} {_listed(tails)}"
    subject = ": ".join(filter(None, (_listed(services), what)))
    place = first + (f" and {len(others)} other line{'s' * (len(others) != 1)}" if others else "")
    names = list(dict.fromkeys(note.name for note in group if note.name))
    message = named(group[0].instead, names).replace("{KEY}", tails[0] if len(tails) == 1 else "VARIABLE")
    return visible(f"{place}: {subject}: {message}")


def _listed(texts: Sequence[str]) -> str:
    shown = [text for text in texts if text]
    more = len(shown) - _MOST
    return ", ".join(shown[:_MOST]) + (f" and {more} more" if more > 0 else "")
