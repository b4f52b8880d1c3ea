"""The steps of a wake, as `run` sees them.

Knows which have come, and when the record of the wake is due; hides the record (record.py), which is loaded once the client has
its answer, or is turned away.
"""

import time

from control import CLOCK_BOOTTIME

FIRST_BYTE_PATIENCE = 10.0  # seconds for which the record of a wake waits for the container's first byte
CLIENT_PATIENCE = 1.0  # the same where nobody has told of a client


class Steps:
    """Those of one wake after the other, in one life of the container."""

    def __init__(self, control, metrics_directory):
        self.control = control
        self.metrics_directory = metrics_directory
        self.seen = {}
        self.recorded = False
        self.account = None  # what keeps the records

    def take(self, name):
        """Note the time of a step."""
        self.seen.setdefault(name, time.clock_gettime(CLOCK_BOOTTIME))

    def heard(self, word, text):
        """Note what the proxy tells of the client ("client", "answered"), or of its connections ("numbers")."""
        if word != "numbers":
            self.seen.setdefault(word, text)
        elif self.account is not None:
            self.account.counted(text)

    def see_to_record(self):
        """Write the record of the wake once all of it is known; return after how many milliseconds to come back, or None."""
        if "ready" not in self.seen:
            return None
        if not self.recorded:
            patience = FIRST_BYTE_PATIENCE if "client" in self.seen else CLIENT_PATIENCE
            left = self.seen["ready"] + patience - time.clock_gettime(CLOCK_BOOTTIME)
            if left > 0 and "answered" not in self.seen:
                return int(1000 * left) + 1
            self.record()
        return self.account.due()

    def record(self):
        """Write the record of the wake, unless that was done."""
        if self.account is None:
            from record import Account

            self.account = Account(self.control, self.metrics_directory)
        if not self.recorded:
            self.recorded = True
            self.account.wake(self.seen)

    def sleep(self):
        """The container sleeps paused; what comes now belongs to the next wake."""
        self.record()
        self.account.sleep()
        self.seen, self.recorded = {}, False

    def end(self, reason, failures):
        """The container has ended, for a reason where so many starts in a row have failed, this one too."""
        self.record()
        self.account.end(reason, failures)
