"""What is there already and is adopted: a unit of systemd, a container that somebody made, or a service of a Compose project.

Knows what is said of each kind; hides nothing.
"""

from __future__ import annotations

from ondemand_pkg.frozen import frozen


@frozen
class Adopted:
    """Exactly one kind; each field is the key of the declaration with the same name."""

    unit: str = ""
    container: str = ""
    compose: str = ""
    service: str = ""

    @property
    def kind(self) -> str:
        """The key that names it, which is the word of what asks for it on a host."""
        return "unit" if self.unit else "container" if self.container else "compose"

    @property
    def noun(self) -> str:
        """What a sentence calls it."""
        return "unit" if self.unit else "container" if self.container else "service"

    @property
    def name(self) -> str:
        """What it is called."""
        return self.unit or self.container or f"{self.compose}/{self.service}"

    @property
    def title(self) -> str:
        """What it is and is called, in a sentence."""
        if self.compose:
            return f"the service {self.service} of the Compose project {self.compose}"
        return f"the {self.noun} {self.name}"

    @property
    def sentence(self) -> str:
        """The same as a sentence of its own."""
        return f"{self.title[4].upper()}{self.title[5:]}."

    @property
    def a_title(self) -> str:
        """What another host would not have."""
        return {"unit": "a unit of systemd", "container": "a container that is there already",
                "compose": "a Compose project that is there already"}[self.kind]

    @property
    def output(self) -> str:
        """What follows the engine's command where it shows its output."""
        return f"logs {self.container or 'CONTAINER'}"
