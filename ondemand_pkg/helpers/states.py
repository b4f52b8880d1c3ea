"""A life as a table: which state an event leads to, and what is done then.

Knows how a table is walked; hides nothing.  The tables are in relay_states.py and run_states.py, the actions in the programs.
A table maps a state to the events that mean something in it, each to (next state, name of the action or "").
"""


class Machine:
    """What is in one state of a table at a time; its methods are the actions that the table names."""

    TABLE: "Table" = {}

    def __init__(self, state: "str") -> "None":
        self.state = state

    def happen(self, event: "str", *values: "Any") -> "None":
        """Go on from an event; one that means nothing in this state is passed over."""
        found = self.TABLE[self.state].get(event)
        if found is not None:
            self.state, action = found
            if action:
                getattr(self, action)(*values)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Tuple

    Table = Dict[str, Dict[str, Tuple[str, str]]]
