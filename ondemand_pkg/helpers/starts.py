"""How many workloads of this host start at one time.

Knows the number, and how a service that is woken waits for its turn while many others start; hides the locks.  A port scan, or a
page that connects to everything, wakes hundreds of services at once: their clients are held a little longer, and the host stays
usable.  systemd's own limits for a slice count the units that are awake, so an always busy service would keep others asleep.

Each place is the lock of one byte of a file, so it becomes free when its process ends, however it does.
"""

import errno
import fcntl
import os
import time

from names import LOCKS, STARTS
from outcome import now

FEWEST = 4  # places on the smallest host
LOOK = 0.05  # seconds until it is looked again whether there is a place
STANDSTILL = 60.0  # seconds in which no place became free: the engine hangs, and others need not
HOLD = 5.0  # seconds for which one that was started, and is not ready, keeps others waiting: it may wait for one of them


class Place:
    """One of the places for workloads that start."""

    def __init__(self) -> "None":
        self.descriptor: "Optional[int]" = None
        self.until: "Optional[float]" = None  # when it is given back at the latest

    def take(self, heed: "Callable[[], None]") -> "bool":
        """Wait for a place, and return True; return False where none becomes free, and the start goes on without.

        ``heed`` is called again and again while it waits.
        """
        os.makedirs(LOCKS, 0o700, exist_ok=True)
        self.descriptor = os.open(STARTS, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if self.takes_one():
            return True
        since = now()
        while now() - max(since, self.last_taken()) < STANDSTILL:
            time.sleep(LOOK)
            heed()
            if self.takes_one():
                return True
        self.give_back()
        return False

    def takes_one(self) -> "bool":
        assert self.descriptor is not None
        for place in range(places()):
            try:
                fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    raise
            else:
                os.pwrite(self.descriptor, "{:020.3f}".format(now()).encode("ascii"), 0)
                return True
        return False

    def last_taken(self) -> "float":
        """Return when somebody took a place, by the clock of now()."""
        assert self.descriptor is not None
        return float(os.pread(self.descriptor, 20, 0) or 0)

    def has_started(self) -> "None":
        self.until = time.monotonic() + HOLD

    def see_to(self, is_ready: "bool") -> "Optional[int]":
        """Give the place back once it is time; return after how many milliseconds that is, or None."""
        if self.descriptor is None or self.until is None:
            return None
        left = self.until - time.monotonic()
        if left > 0 and not is_ready:
            return int(1000 * left) + 1
        self.give_back()
        return None

    def give_back(self) -> "None":
        if self.descriptor is not None:
            os.close(self.descriptor)
        self.descriptor = None


def places() -> "int":
    """Return how many workloads start at one time: what starts waits for disks, too, so there are more than processors."""
    return max(FEWEST, 2 * (os.cpu_count() or 1))


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional
