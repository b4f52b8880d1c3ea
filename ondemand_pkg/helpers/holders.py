"""Who holds a lock of this package, and how long that is waited for.

Knows locks in /proc (proc(5), /proc/PID/fdinfo), and whom a helper waits for; loaded only where a lock is not free.
Nothing is read of other processes that they could delay: neither their arguments nor the files that they have open.
"""

import os
import stat
import time

from process import Failure, is_locked, say

PATIENCE = 300.0  # seconds for which another helper is waited for: it may be pulling an image
FIRST_PATIENCE = 30.0  # the same for a helper of release 0.1.0
SILENCE = 5.0  # seconds after which it is said what is waited for
LOOK = 0.02  # seconds until it is tried again
HOLDERS_LOOK = 0.5  # seconds until it is looked again who holds it


class Holder:
    """A process that holds a lock."""

    def __init__(self, pid: "str") -> "None":
        self.pid = pid
        self.name = read("/proc/{}/comm".format(pid)).strip()

    def __str__(self) -> "str":
        return "{} (process {})".format("".join(c if c.isprintable() else "?" for c in self.name), self.pid)

    def is_roots(self) -> "bool":
        """Return whether it is root's by itself: everybody can hand an open file to a program that becomes root (su, sudo)."""
        users = read("/proc/{}/status".format(self.pid)).partition("\nUid:")[2].partition("\n")[0].split()
        try:
            return set(users) == {"0"} and not os.stat("/proc/{}/exe".format(self.pid)).st_mode & (stat.S_ISUID | stat.S_ISGID)
        except OSError:
            return False


def await_helper(descriptor: "int") -> "None":
    """Wait for a lock that only root's processes can hold.  Raises Failure."""
    begin, told = time.monotonic(), False
    while not is_locked(descriptor):
        waited = time.monotonic() - begin
        if waited > PATIENCE:
            raise Failure("{} has been at work on this container for {:g} s; wait for its end, or end it".format(
                listed(holders(descriptor)), PATIENCE))
        if waited > SILENCE and not told:
            told = True
            say("waiting for {}, which is at work on this container".format(listed(holders(descriptor))))
        time.sleep(LOOK)


def await_first_release(descriptor: "int") -> "None":
    """Wait for the lock of release 0.1.0 as long as a process of root holds it, and go on without it where a stranger does."""
    begin, looked = time.monotonic(), 0.0
    while not is_locked(descriptor):
        waited = time.monotonic() - begin
        if not looked or waited - looked > HOLDERS_LOOK:
            looked = waited or LOOK
            found = holders(descriptor)
            strangers = [holder for holder in found if not holder.is_roots()]
            if is_locked(descriptor):
                return
            if len(strangers) == len(found) or waited > FIRST_PATIENCE:
                say("{} holds a lock on {}, which nothing of this package needs any more; going on without it".format(
                    listed(strangers or found), named(descriptor)))
                return
        time.sleep(LOOK)


def named(descriptor: "int") -> "str":
    return os.readlink("/proc/self/fd/{}".format(descriptor))


def holders(descriptor: "int") -> "List[Holder]":
    """Return the other processes that hold a lock on what is open here; those outside of a container are not seen in it."""
    found, path = [], named(descriptor)
    for pid in os.listdir("/proc"):
        if pid.isdigit() and any(has_lock(pid, number) for number in opened(pid, path)):
            found.append(Holder(pid))
    return found


def opened(pid: "str", path: "str") -> "Iterator[str]":
    """Yield the numbers under which a process has a file open."""
    directory = "/proc/{}/fd".format(pid)
    try:
        for number in os.listdir(directory):
            if os.readlink("{}/{}".format(directory, number)) == path:
                yield number
    except OSError:
        pass  # it has ended


def has_lock(pid: "str", number: "str") -> "bool":
    return int(pid) != os.getpid() and "\nlock:" in read("/proc/{}/fdinfo/{}".format(pid, number))


def listed(found: "List[Holder]") -> "str":
    return ", ".join(str(holder) for holder in found) or "a process that can't be seen from here"


def read(path: "str") -> "str":
    """Return the text of a file of /proc, nothing where its process has ended."""
    try:
        with open(path, "rb") as stream:
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, List
