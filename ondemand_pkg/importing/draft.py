"""A declaration in the making, and what could not be carried over into it.

Knows that every value of a draft is one the reader takes, and that what is not is told with its remedy; hides how the
result is laid out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ondemand_pkg.declaration import writer
from ondemand_pkg.declaration.fields import BY_KEY, FIELDS, name_fault
from ondemand_pkg.declaration.values import Invalid

UNKNOWN_VERSION = "0"
_VERSION = re.compile(r"v?([0-9]+(?:\.[0-9A-Za-z]+)*)")
_IN_ONE_PIECE = ("command", "entrypoint", "create_args", "ready")  # a part of them alone means nothing
_NO_LETTER_OF_A_NAME = re.compile(r"[^a-z0-9.+-]+")


@dataclass(frozen=True)
class Note:
    """Something that was not carried over, or not as it stood.

    ``place`` is FILE:LINE or another name for where it stands, ``what`` the key, ``instead`` what it became or what to do.
    """

    place: str
    what: str
    instead: str

    def __str__(self) -> str:
        # What comes from a foreign file must neither end the line nor steer the terminal.
        whole = f"{self.place}: {self.what}: {self.instead}"
        return "".join(character if character.isprintable() else "?" for character in whole)


@dataclass
class Draft:
    """One container in the making; ``values`` by key as TOML has them, ``remarks`` by key ("" for the whole)."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def note(self, place: str, what: str, instead: str) -> None:
        """Tell what was not carried over as it stood."""
        note = Note(place, what, instead)
        if note not in self.notes:
            self.notes.append(note)

    def remark(self, key: str, text: str) -> None:
        """Put a comment above a key, or above the whole container for ""."""
        self.remarks.setdefault(key, []).append(text)

    def add(self, key: str, *items: Any) -> None:
        """Add to the array of a key."""
        known = self.values.setdefault(key, [])
        known += [item for item in items if key == "create_args" or item not in known]

    def keep_what_is_valid(self, place: str) -> None:
        """Take out each value, or each part of an array or a table, that the reader refuses, and tell why."""
        for key in list(self.values):
            check = BY_KEY[key].value.parse
            whole = self.values[key]
            parts: Sequence[Any] = (
                [[item] for item in whole] if isinstance(whole, list) and key not in _IN_ONE_PIECE else
                [{name: item} for name, item in whole.items()] if isinstance(whole, dict) and key not in _IN_ONE_PIECE
                else [whole])
            for part in parts:
                try:
                    check(part)
                except Invalid as invalid:
                    self.note(place, f"{key} = {_brief(part)}", invalid.findings[0].why)
                    self._take_out(key, part)

    def _take_out(self, key: str, part: Any) -> None:
        whole = self.values[key]
        if isinstance(part, list) and isinstance(whole, list) and part != whole:
            self.values[key] = [item for item in whole if item not in part]
        elif isinstance(part, dict) and part != whole:
            self.values[key] = {name: item for name, item in whole.items() if name not in part}
        else:
            del self.values[key]


def _brief(value: Any) -> str:
    try:
        text = writer.value(value)
    except ValueError:
        text = ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."


def name_of(text: str) -> str:
    """Return the name of a container nearest to a text: lower case, no other character than a name may hold."""
    name = _NO_LETTER_OF_A_NAME.sub("-", text.lower()).strip("-.+") or "container"
    if name_fault(name):  # too long, or an ending that is taken
        name = re.sub(r"(?:-container|\.previous|\.next)+$", "", name[:90]).rstrip("-.+") or "container"
    return name


def version_of(image: str) -> str | None:
    """Return the version that an image's tag tells ("16" for postgres:16-alpine), or None."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    match = _VERSION.match(tag)
    return match[1] if match else None


def text(drafts: Iterable[Draft], source: str, notes: Sequence[Note] = ()) -> str:
    """Return the declaration that drafts make, with what was not carried over in its head."""
    drafts = list(drafts)
    everything = [*notes, *(note for draft in drafts for note in draft.notes)]
    head = [f"From {source}.  'ondemand-pkg check' tells what is wrong with this file, 'ondemand-pkg show' what it becomes."]
    if everything:
        head += ["", "Not carried over, or not as it stood:", *(f"- {note}" for note in everything)]
    order = {field.key: index for index, field in enumerate(FIELDS)}
    first = {"image": -2, "version": -1}  # what readers look for
    return writer.declaration([
        writer.Table(draft.name,
                     dict(sorted(draft.values.items(), key=lambda item: first.get(item[0], order[item[0]]))),
                     draft.remarks.get("", ()), {key: lines for key, lines in draft.remarks.items() if key})
        for draft in drafts], head)
