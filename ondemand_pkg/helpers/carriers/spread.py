"""Which of several tasks the next client is led to: one after the other.

Knows the word by which `run` names the addresses of tasks (replicas.py); hides whose turn it is.
"""

import _socket


class Spread:
    """The tasks that are ready."""

    def __init__(self) -> "None":
        self.targets: "Dict[int, List[Tuple[int, str, int]]]" = {}  # by the port of the workload
        self.turn = 0

    def lead_to(self, text: "str") -> "None":
        self.targets = {}
        for task in text.split("+"):
            host, *ports = task.split("/")
            for port in ports:
                inside, _, published = port.partition("=")
                family = _socket.AF_INET6 if ":" in host else _socket.AF_INET
                self.targets.setdefault(int(inside), []).append((family, host, int(published)))

    def next(self, port: "int") -> "Tuple[int, str, int]":
        """Return family, host and port at which the next client of a port is taken."""
        found = self.targets[port]
        self.turn += 1
        return found[self.turn % len(found)]


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Tuple
