"""How much memory the processes of a workload hold.

Knows what the kernel shows of processes and their children (proc(5)); hides which of its files are read, and bounds how long that
takes: somebody may be waiting for the workload to end.

A process's share is its proportional set size (PSS): its own memory, and of what it shares its part.  For that the kernel walks
its page tables, about 10 ms for each GiB, and can't be interrupted: of a large process the resident set is taken without what it
shares, which the kernel has counted already.
"""

import os
import time

LARGE = 2 << 30  # bytes of a process, from which on its page tables are not walked
PATIENCE = 0.1  # seconds
MOST_PROCESSES = 512
LONGEST = 65536  # bytes of one of the files
PAGE = os.sysconf("SC_PAGE_SIZE")


def held_by(process: "int") -> "Optional[int]":
    """Return how many bytes a process and its descendants hold; None where that is not to be known, or not in time."""
    deadline = time.monotonic() + PATIENCE
    total, known, todo = 0, {process}, [process]
    while todo:
        if time.monotonic() > deadline or len(known) > MOST_PROCESSES:
            return None
        one = todo.pop()
        try:
            total += share_of(one)
            children = children_of(one)
        except (OSError, ValueError, IndexError):
            if one == process:
                return None
            continue  # it has just ended
        todo += children - known
        known |= children
    return total


def share_of(process: "int") -> "int":
    """Return a process's share in bytes.  Raises OSError, ValueError and IndexError."""
    _, resident, shared = (PAGE * int(pages) for pages in content("/proc/{}/statm".format(process)).split()[:3])
    if resident > LARGE:
        return resident - shared
    for line in content("/proc/{}/smaps_rollup".format(process)).splitlines():
        if line.startswith(b"Pss:"):
            return 1024 * int(line.split()[1])
    raise ValueError("the kernel tells no share")


def children_of(process: "int") -> "Set[int]":
    """Return the children of all threads of a process.  Raises OSError and ValueError."""
    return {int(child) for thread in os.listdir("/proc/{}/task".format(process))
            for child in content("/proc/{}/task/{}/children".format(process, thread)).split()}


def content(path: "str") -> "bytes":
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, LONGEST)
    finally:
        os.close(descriptor)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Set
