"""The journal's records of clients that woke nothing: closed without data, answered as probes, or refused by `allow`.

Knows their fields, and how often one is written; hides where the numbers are kept.  The relay writes them, which has no rights:
the field _SYSTEMD_UNIT, which the journal adds, says whose word it is.
"""

import time

from carriers import CLOSED, FEW, PROBED, REFUSED
from record import INFO, send, whose

# The record of each kind, the field of its count, and what it says of one and of several.
KINDS = {
    CLOSED: ("79273ac236ad4839aa0af4a5889d14e4", "ONDEMAND_CLOSED", "connection was closed without data",
             "connections were closed without data", "; nothing was woken"),
    PROBED: ("0e66a0670162447282f148e5055eacb6", "ONDEMAND_PROBES", "request for the health was answered",
             "requests for the health were answered", "; nothing was woken"),
    REFUSED: ("ef4ce8bb810144038bd23eab14addcfb", "ONDEMAND_REFUSED", "client was refused by 'allow'",
              "clients were refused by 'allow'", ""),
    FEW: ("9104babc26744bd7a6aed738aca46742", "ONDEMAND_FEW", "client sent too few datagrams",
          "clients sent too few datagrams", "; nothing was woken"),
}
EVERY = 60.0  # seconds; one record may speak of many clients
JOURNAL_LOOK = 0.1  # seconds in which the journal finds out of which unit a process is that ends


class Unwoken:
    """What one process has to tell of them."""

    def __init__(self, tally: "Tally") -> "None":
        self.tally = tally
        self.due: "Optional[float]" = None  # when it is told

    def see_to(self) -> "Optional[float]":
        """Tell of them, unless that was done a moment ago; return after how many seconds to come back."""
        if self.tally.noted:
            self.due = self.due or time.monotonic() + EVERY
        if self.due is None:
            return None
        left = self.due - time.monotonic()
        if left > 0:
            return left
        self.tell()
        return None

    def end(self) -> "None":
        """The process ends."""
        if self.tally.noted:
            self.tell()
            time.sleep(JOURNAL_LOOK)

    def tell(self) -> "None":
        self.due = None
        for kind, (count, last) in self.tally.take().items():
            identifier, field, one, several, effect = KINDS[kind]
            text = "{} {}, the last from {}{}".format(count, several if count > 1 else one, last, effect)
            send([("MESSAGE", text), ("MESSAGE_ID", identifier), ("PRIORITY", INFO)] + whose() + [
                ("ONDEMAND_CLIENT", last), (field, count)])


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from carriers import Tally
