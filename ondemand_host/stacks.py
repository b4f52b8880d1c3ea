"""The stacks of this host: how each application does as one.

Knows what the states of members are together; hides that a stack has no service.
"""

from typing import NamedTuple, Tuple

# A stack is in the first of these states in which one of its members is.
_STATES = ("failing", "closed", "unmanaged", "starting", "awake", "stopping", "paused", "asleep", "disabled")
_UP = ("starting", "awake", "stopping", "unmanaged")
MISSING = "missing"  # the state of a stack none of whose members is installed


class Application(NamedTuple):
    """One stack: ``members`` are its services that are installed, ``missing`` the names of the others."""

    name: "str"
    members: "Tuple[Service, ...]"
    missing: "Tuple[str, ...]" = ()

    @property
    def state(self) -> "str":
        """What the members are together."""
        states = {member.state for member in self.members}
        return next((state for state in _STATES if state in states), MISSING)

    @property
    def connections(self) -> "int":
        """The open connections of all members."""
        return sum(member.connections for member in self.members)

    @property
    def awake(self) -> "int":
        """How many members run."""
        return sum(member.state in _UP for member in self.members)


def applications(stacks: "Mapping[str, Sequence[str]]", services: "Sequence[Service]") -> "Tuple[Application, ...]":
    """Return some stacks, by name, with what is known of their members."""
    known = {service.name: service for service in services}
    return tuple(Application(name, tuple(known[member] for member in stacks[name] if member in known),
                             tuple(member for member in stacks[name] if member not in known)) for name in sorted(stacks))


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping, Sequence

    from ondemand_host.services import Service
