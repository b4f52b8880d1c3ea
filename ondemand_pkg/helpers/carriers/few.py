"""Clients whose datagrams are not enough to wake the workload yet (wake_on = { datagrams, within }).

Knows how many datagrams of one client wake it, and within which time; hides when each has come.
"""

import time
from _collections import OrderedDict, deque  # `collections` loads five more modules


class Few:
    """All of them of one service: those that have sent something, and too little."""

    def __init__(self, count: "int", within: "float") -> "None":
        self.count = count
        self.within = within  # seconds
        self.moments: "Any" = OrderedDict()  # of the last datagrams of each, the one that was silent longest first

    def is_enough(self, session: "Session") -> "bool":
        """Note a datagram that has come; return whether its client has sent enough now."""
        moments = self.moments.setdefault(session, deque(maxlen=self.count))
        self.moments.move_to_end(session)
        moments.append(time.monotonic())
        if len(moments) < self.count or moments[-1] - moments[0] > self.within:
            return False
        self.forget(session)
        return True

    def forget(self, session: "Session") -> "None":
        self.moments.pop(session, None)

    def oldest(self) -> "List[Session]":
        """Return all of them, the one that was silent longest first."""
        return list(self.moments)

    def over(self) -> "List[Session]":
        """Return those that were silent for so long that nothing they sent counts any more; they are no longer here."""
        found: "List[Session]" = []
        before = time.monotonic() - self.within
        while self.moments:
            session, moments = next(iter(self.moments.items()))
            if moments[-1] > before:
                break
            self.forget(session)
            found.append(session)
        return found

    def due(self) -> "float":
        """Return in how many seconds the first of them is over."""
        moments = next(iter(self.moments.values()))
        return max(0.0, float(moments[-1]) + self.within - time.monotonic())


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List

    from carriers.datagrams import Session
