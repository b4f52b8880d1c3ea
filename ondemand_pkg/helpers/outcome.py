"""What one life of a service leaves behind for the next.

Knows the files in the service's runtime directory that say how a life went, and the clock that all lives share;
hides their form.
"""

import os
import time

from names import AWAKE, BEGUN, END, OVER

CLOCK_BOOTTIME = 7  # the clock of the 22nd field of proc_pid_stat(5); Python names it from 3.7 on


def now() -> "float":
    """Return the time since the host was started, in seconds, sleep included."""
    return time.clock_gettime(CLOCK_BOOTTIME)


def tell_end(failures: "int") -> "None":
    """Leave behind when the workload has ended, and how many starts in a row have failed."""
    with open(END + ".new", "w") as stream:
        stream.write("{} {}\n".format(failures, now()))
    os.rename(END + ".new", END)


def last_end(path: "Optional[str]" = None) -> "Tuple[int, float]":
    """Return how many starts in a row had failed when the workload last ended, and when that was (CLOCK_BOOTTIME, seconds)."""
    try:
        with open(path or END) as stream:
            count, when = stream.read().split()
        return int(count), float(when)
    except (FileNotFoundError, ValueError):
        return 0, 0.0


def tell_begun(identity: "str") -> "None":
    """Note which workload this life has started."""
    with open(BEGUN, "w") as stream:
        stream.write(identity)


def begun() -> "Optional[str]":
    """Return which workload this life has started, None where it has started none."""
    try:
        with open(BEGUN) as stream:
            return stream.read() or None
    except FileNotFoundError:
        return None


def tell_awake() -> "None":
    """Note that the workload of this life was ready."""
    with open(AWAKE, "w"):
        pass


def tell_over(failed: "bool") -> "None":
    """Leave behind that nothing is left of the service's life, so that the next one may begin.

    ``failed`` tells whether its program came to an end that it did not choose: that is a failed start where the workload was not
    ready, and the program has not left behind how it ended.
    """
    if failed and not os.path.exists(AWAKE) and is_over():
        tell_end(last_end()[0] + 1)
    for path in (AWAKE, BEGUN):
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
    with open(OVER, "w"):
        os.utime(OVER)


def is_over() -> "bool":
    """Return whether nothing is left of the life that has left behind last how it ended."""
    try:
        end = os.stat(END).st_mtime_ns
    except FileNotFoundError:
        return True
    try:
        return os.stat(OVER).st_mtime_ns >= end
    except FileNotFoundError:
        return False


def begin_of_process() -> "float":
    """Return when this process was made (CLOCK_BOOTTIME, seconds), at most a clock tick too early."""
    with open("/proc/self/stat", "rb") as stat:
        return int(stat.read().rsplit(b")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Tuple
