"""What a declaration says and its export does not.

Knows that each key of a declaration is exported, or reported with its line and what to do instead; hides how the line is
found.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field

from ondemand_pkg.declaration.fields import FIELDS
from ondemand_pkg.declaration.reader import Declared
from ondemand_pkg.frozen import frozen
from ondemand_pkg.model import Container


@frozen
class Loss:
    """Something that was not exported, or not as it stood: where it is declared, its key, and what to do instead."""

    place: str
    key: str
    instead: str

    def __str__(self) -> str:
        return f"{self.place}: {self.key}: {self.instead}"


@dataclass
class Losses:
    """The losses of one declared container."""

    declared: Declared
    found: list[Loss] = field(default_factory=list)

    def add(self, key: str, instead: str) -> None:
        """Report that a key was not exported as it stands."""
        loss = Loss(f"{self.declared.path}:{self.declared.line(key)}", f"{self.declared.container.name}: {key}", instead)
        if loss not in self.found:
            self.found.append(loss)


def declared_keys(container: Container) -> Iterator[str]:
    """Yield each key whose value differs from what holds without it."""
    defaults = {one.name: one.default if one.default is not dataclasses.MISSING else
                one.default_factory() if one.default_factory is not dataclasses.MISSING else None
                for one in dataclasses.fields(Container)}
    for one in FIELDS:
        if getattr(container, one.key) != defaults[one.key]:
            yield one.key
