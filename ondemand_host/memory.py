"""How much memory a process and its descendants hold, as the proportional set size (PSS).

That is what is theirs alone, and their part of what they share with others.

Knows proc(5); hides which of its files are read.
"""

import os


def held_by(process: "int") -> "Optional[int]":
    """Return the bytes, None where that can't be known."""
    total = _share_of(process)
    if total is None:
        return None
    children: "Dict[int, List[int]]" = {}
    for name in os.listdir("/proc"):
        parent = _parent(name) if name.isdigit() else None
        if parent is not None:
            children.setdefault(parent, []).append(int(name))
    todo = [process]
    while todo:
        found = children.pop(todo.pop(), [])
        total += sum(_share_of(child) or 0 for child in found)
        todo += found
    return total


def _parent(name: "str") -> "Optional[int]":
    try:
        with open("/proc/{}/stat".format(name), "rb") as stream:
            return int(stream.read().rpartition(b")")[2].split()[1])  # a program may have any name
    except (OSError, ValueError, IndexError):
        return None  # it has ended


def _share_of(process: "int") -> "Optional[int]":
    try:
        with open("/proc/{}/smaps_rollup".format(process), "rb") as stream:
            return next(1024 * int(line.split()[1]) for line in stream if line.startswith(b"Pss:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional
