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
from ondemand_pkg.declaration.fields import BY_KEY, FIELDS, RESERVED, TAKEN_ENDINGS, name_fault
from ondemand_pkg.declaration.values import Invalid
from ondemand_pkg.engines import references
from ondemand_pkg.importing import notes as telling
from ondemand_pkg.importing.notes import Note, Weight

UNKNOWN_VERSION = "0"
IDLE = "10min"  # an imported project that never sleeps again would be half of one
_DATA_OR_PROTECTION = {"volumes", "tmpfs", "env", "user", "cap_drop", "read_only", "ports"}
_IN_ONE_PIECE = ("command", "entrypoint", "ready")  # a part of them alone means nothing
# Options without a value: of others, it may be the next word.
_FLAGS = {"--init", "--interactive", "--no-healthcheck", "--oom-kill-disable", "--privileged", "--tty"}
_NO_LETTER_OF_A_NAME = re.compile(r"[^a-z0-9.+-]+")


@dataclass
class Draft:
    """One container in the making; ``values`` by key as TOML has them, ``remarks`` by key ("" for the whole)."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)
    stack: str = ""  # the application that it is a part of
    remarks: dict[str, list[str]] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    # What stands in the notes and in the arrays: a foreign file may have a hundred thousand of each.
    _noted: set[Note] = field(default_factory=set)
    _added: dict[str, set[str]] = field(default_factory=dict)

    def note(self, place: str, what: str, instead: str, weight: Weight = Weight.CHANGED, service: str = "") -> None:
        """Tell what was not carried over as it stood."""
        note = Note(place, what, instead, weight, service, self.name)
        if note not in self._noted:
            self._noted.add(note)
            self.notes.append(note)

    def remark(self, key: str, text: str) -> None:
        """Put a comment above a key, or above the whole container for ""."""
        self.remarks.setdefault(key, []).append(text)

    def add(self, key: str, *items: str) -> None:
        """Add to the array of a key, each item once; arguments of a command as they are."""
        known = self.values.setdefault(key, [])
        if key == "create_args":
            known += items
            return
        added = self._added.setdefault(key, set())
        if len(added) != len(known):  # it was set as a whole
            added.clear()
            added.update(known)
        known += [item for item in dict.fromkeys(items) if item not in added]
        added.update(items)

    def keep_what_is_valid(self, place: str) -> None:
        """Take out each value, or each part of an array or a table, that the reader refuses, and tell why."""
        for key in list(self.values):
            check = BY_KEY[key].value.parse
            whole = self.values[key]
            is_one = key in _IN_ONE_PIECE or (key == "create_args" and not all("=" in item or item in _FLAGS for item in whole))
            parts: Sequence[Any] = (
                [[item] for item in whole] if isinstance(whole, list) and not is_one else
                [{name: item} for name, item in whole.items()] if isinstance(whole, dict) and not is_one
                else [whole])
            kept = []
            for part in parts:
                try:
                    check(part)
                    kept.append(part)
                except Invalid as invalid:
                    self.note(place, f"{key} = {_brief(part)}", str(invalid.mistakes[0]),
                              Weight.LOSS if key in _DATA_OR_PROTECTION else Weight.CHANGED)
            if not kept and parts:
                del self.values[key]
            elif len(kept) < len(parts):
                self.values[key] = ([item for part in kept for item in part] if isinstance(whole, list)
                                    else {name: item for part in kept for name, item in part.items()})


def _brief(value: Any) -> str:
    try:
        text = writer.value(value)
    except ValueError:
        text = ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."


def name_of(text: str) -> str:
    """Return the name of a container nearest to a text: lower case, no other character than a name may hold."""
    name = _NO_LETTER_OF_A_NAME.sub("-", text.lower()).strip("-.+") or "container"
    if name_fault(name) and name not in RESERVED:  # too long, or an ending that is taken
        name = name[:90].rstrip("-.+")
        while ending := next(filter(name.endswith, TAKEN_ENDINGS), ""):
            name = name.removesuffix(ending).rstrip("-.+") or "container"
    return f"{name}-service" if name in RESERVED else name


def version_of(image: str) -> str | None:
    """Return the version that an image's tag tells ("16" for postgres:16-alpine), or None."""
    return references.version_of(image)


def text(drafts: Iterable[Draft], source: str, notes: Sequence[Note] = ()) -> str:
    """Return the declaration that drafts make, with what was not carried over in its head."""
    drafts = list(drafts)
    head = telling.heads([*notes, *(note for draft in drafts for note in draft.notes)])
    order = {field.key: index for index, field in enumerate(FIELDS)}
    first = {"image": -2, "version": -1}  # what readers look for
    return writer.declaration([*_stacks(drafts), *(
        writer.Table(draft.name,
                     dict(sorted(draft.values.items(), key=lambda item: first.get(item[0], order[item[0]]))),
                     draft.remarks.get("", ()), {key: lines for key, lines in draft.remarks.items() if key})
        for draft in drafts)], [
            f"From {source}.  'ondemand-pkg check' checks this file, 'ondemand-pkg show' shows what it becomes.", *head])


def _stacks(drafts: Sequence[Draft]) -> list[writer.Table]:
    """Return the stack of drafts that are one application."""
    stack = drafts[0].stack if drafts else ""
    if not stack or len(drafts) < 2:
        return []
    taken = {draft.name for draft in drafts}
    name = name_of(stack)
    while name in taken or name_fault(name):
        name = f"{name}-stack"
    return [writer.Table(name, {"version": drafts[0].values["version"]},
                         [f"One package for all of them, ondemand-{name}: raise its version with any member's."], kind="stack")]
