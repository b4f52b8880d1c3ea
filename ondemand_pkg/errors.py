"""What can be wrong and how it is said.

Knows the one form in which every fault is told: place, key, finding, remedy; hides nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


def joined(finding: str, remedy: str) -> str:
    """Return what was found and what to do about it as one text."""
    return "; ".join(filter(None, (finding, remedy)))


class Fault(NamedTuple):
    """One thing that is wrong in the input: where, what was found, and what to do about it.

    ``line`` counts from 1; 0 where no line is to blame.  ``key`` is a dotted path, or empty.  ``remedy`` is what to write instead
    or what is allowed, empty where that goes without saying; so is ``finding`` where the remedy says all.
    """

    path: str
    line: int
    key: str
    finding: str
    remedy: str = ""

    @property
    def message(self) -> str:
        """Finding and remedy, as one text."""
        return joined(self.finding, self.remedy)

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class OndemandError(Exception):
    """The input or the host is at fault; the text is for the user as it stands.

    ``lines`` are those of the text: a line's end within one is no end of a line when it is printed.
    """

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


class DeclarationError(OndemandError):
    """One or more faults of declarations."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(faults))
        super().__init__(*map(str, self.faults))
