"""The steps of a wake, as `run` sees them.

Knows which have come, and when the record of the wake is due; hides the record (record.py), which is loaded while the engine is
at work.
"""

from outcome import now

FIRST_BYTE_PATIENCE = 10.0  # seconds for which the record of a wake waits for the container's first byte
CLIENT_PATIENCE = 1.0  # the same where nobody has told of a client


class Steps:
    """Those of one wake after the other, in one life of the container."""

    def __init__(self, control: "Server", metrics_directory: "Optional[str]") -> "None":
        self.control = control
        self.metrics_directory = metrics_directory
        self.seen: "Dict[str, Any]" = {}
        self.recorded = False
        self.account: "Optional[Account]" = None  # what keeps the records

    def load(self) -> "Account":
        """Return what keeps the records."""
        if self.account is None:
            from record import Account

            self.account = Account(self.control, self.metrics_directory)
        return self.account

    def take(self, name: "str") -> "None":
        """Note the time of a step."""
        self.seen.setdefault(name, now())

    def heard(self, word: "str", text: "str") -> "None":
        """Note what the proxy tells of the client ("client", "answered"), or of its connections ("numbers")."""
        if word != "numbers":
            self.seen.setdefault(word, text)
        elif self.account is not None:
            self.account.counted(text)

    def see_to_record(self) -> "Optional[int]":
        """Write the record of the wake once all of it is known; return after how many milliseconds to come back, or None."""
        if "ready" not in self.seen:
            return None
        if not self.recorded:
            patience = FIRST_BYTE_PATIENCE if "client" in self.seen else CLIENT_PATIENCE
            left = self.seen["ready"] + patience - now()
            if left > 0 and "answered" not in self.seen:
                return int(1000 * left) + 1
            self.record()
        return self.load().due()

    def record(self) -> "None":
        """Write the record of the wake, unless that was done."""
        if not self.recorded:
            self.recorded = True
            self.load().wake(self.seen)

    def measure(self, process: "Optional[int]") -> "None":
        """The container is about to be stopped because it has no traffic; its memory is that of a process and its descendants."""
        self.load().measure(process)

    def sleep(self) -> "None":
        """The container sleeps paused; what comes now belongs to the next wake."""
        self.record()
        self.load().sleep()
        self.seen, self.recorded = {}, False

    def end(self, reason: "str", failures: "int") -> "None":
        """The container has ended, for a reason where so many starts in a row have failed, this one too."""
        self.record()
        self.load().end(reason, failures)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

    from control import Server
    from record import Account
