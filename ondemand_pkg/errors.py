"""What can be wrong and how it is said.

Knows the one form in which every fault is told: place, key, finding, remedy; hides nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that is wrong in the input: where, and a text that names finding and remedy.

    ``line`` counts from 1; 0 where no line is to blame.  ``key`` is a dotted path, or empty.
    """

    path: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class OndemandError(Exception):
    """The input or the host is at fault; the text is for the user as it stands."""


class DeclarationError(OndemandError):
    """One or more faults of declarations."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(faults))
        super().__init__("\n".join(map(str, self.faults)))
