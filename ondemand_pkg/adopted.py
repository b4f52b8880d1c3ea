"""What is there already and is adopted: a unit of systemd, or a container that somebody made.

Knows what is said of each kind; hides nothing.
"""

from __future__ import annotations

from ondemand_pkg.frozen import frozen


@frozen
class Adopted:
    """Exactly one kind; each field is the key of the declaration with the same name."""

    unit: str = ""
    container: str = ""

    @property
    def kind(self) -> str:
        """The key that names it, which is the word of what asks for it on a host."""
        return "unit" if self.unit else "container"

    @property
    def noun(self) -> str:
        """What a sentence calls it."""
        return "unit" if self.unit else "container"

    @property
    def title(self) -> str:
        """The same, with its name."""
        return f"the {self.noun} {self.unit or self.container}"

    @property
    def a_title(self) -> str:
        """What another host would not have."""
        return "a unit of systemd" if self.unit else "a container that is there already"
