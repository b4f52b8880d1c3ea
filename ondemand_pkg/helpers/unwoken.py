"""The journal's record of clients that woke nothing, where only data wakes (wake_on = "data").

Knows its fields, and how often it is written; hides where the numbers are kept.  The relay writes it, which has no rights: the
field _SYSTEMD_UNIT, which the journal adds, says whose word it is.
"""

import time

from record import INFO, send, whose

CLOSED = "79273ac236ad4839aa0af4a5889d14e4"
EVERY = 60.0  # seconds; one record may speak of many clients
JOURNAL_LOOK = 0.1  # seconds in which the journal finds out of which unit a process is that ends


class Unwoken:
    """What one process has to tell of them."""

    def __init__(self) -> "None":
        self.count = 0
        self.last = ""
        self.due: "Optional[float]" = None  # when it is told

    def see_to(self, carriers: "Sequence[Carrier]") -> "Optional[float]":
        """Tell of those that were closed, unless that was done a moment ago; return after how many seconds to come back."""
        self.take(carriers)
        if self.due is None:
            return None
        left = self.due - time.monotonic()
        if left > 0:
            return left
        self.tell()
        return None

    def end(self, carriers: "Sequence[Carrier]") -> "None":
        """The process ends."""
        self.take(carriers)
        if self.count:
            self.tell()
            time.sleep(JOURNAL_LOOK)

    def take(self, carriers: "Sequence[Carrier]") -> "None":
        for carrier in carriers:
            count, last = carrier.closed()
            if count:
                self.count, self.last = self.count + count, last
                self.due = self.due or time.monotonic() + EVERY

    def tell(self) -> "None":
        text = "{} connection{} closed without data, the last from {}; nothing was woken".format(
            self.count, "s were" if self.count > 1 else " was", self.last)
        send([("MESSAGE", text), ("MESSAGE_ID", CLOSED), ("PRIORITY", INFO)] + whose() + [
            ("ONDEMAND_CLIENT", self.last), ("ONDEMAND_CLOSED", self.count)])
        self.count, self.due = 0, None


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Sequence

    from carriers import Carrier
