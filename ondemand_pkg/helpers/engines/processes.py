"""A process of this host, of which a run of a workload may consist.

Knows what the kernel shows of a process and of its end; hides files and descriptors.
"""

import os


def is_alive(pid: "int") -> "bool":
    """Return whether a process runs; one that is dead but not yet reaped does not."""
    try:
        with open("/proc/{}/stat".format(pid), "rb") as stat:
            return stat.read().rsplit(b")", 1)[1].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def descriptor_of_end(pid: "int") -> "Optional[int]":
    """Return a new descriptor that becomes readable when a process ends; None where the kernel has none."""
    try:
        return os.pidfd_open(pid)  # type: ignore[attr-defined, no-any-return, unused-ignore] # from Python 3.9 on
    except ProcessLookupError:
        return at_its_end()
    except (AttributeError, OSError, ValueError):
        return None


def at_its_end() -> "int":
    """Return a new descriptor that is readable, as that of an end that has come."""
    readable, ended = os.pipe2(os.O_CLOEXEC)
    os.close(ended)
    return readable


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional
