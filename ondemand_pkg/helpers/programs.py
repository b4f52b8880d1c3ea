"""Other programs, started from a process that stays while a service is awake.

Knows what a child of this process inherits; hides how it is started.  The module `subprocess` does the same for 1.4 MiB more, and
takes longer to load than the rest of a helper.
"""

import os
import select
import time

OUTPUT, ERROR = 1, 2  # the descriptors of standard output and standard error
NOT_RUN = 127  # the exit status of a program that is not there, as a shell has it


def start(argv: "Sequence[str]", error: "Optional[int]" = None, output: "Optional[int]" = None) -> "int":
    """Start a program found in PATH; return its process ID.

    ``error`` and ``output`` are the descriptors for what it prints, unless those are ours.

    No other descriptor of this process goes on in it.
    """
    child = os.fork()
    if child:
        return child
    try:
        if output is not None:
            os.dup2(output, OUTPUT)
        if error is not None:
            os.dup2(error, ERROR)
        os.execvp(argv[0], list(argv))
    finally:
        os._exit(NOT_RUN)


def start_alone(argv: "Sequence[str]") -> "None":
    """Start a program that nobody waits for, not even as a child of this process, and whose errors nobody reads."""
    between = os.fork()
    if between:
        wait(between)
        return
    try:
        start(argv, os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC))
    finally:
        os._exit(0)


def said(argv: "Sequence[str]", patience: "float") -> "str":
    """Return what a program prints; nothing where it does not end within so many seconds, in which case it is killed."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    child = start(argv, output=writing)
    os.close(writing)
    poll, deadline, found = select.poll(), time.monotonic() + patience, b""
    poll.register(reading, select.POLLIN)
    try:
        while poll.poll(max(0, int(1000 * (deadline - time.monotonic())))):
            block = os.read(reading, 65536)
            if not block:
                return found.decode("utf-8", "replace")
            found += block
        os.kill(child, 9)
        return ""
    finally:
        os.close(reading)
        wait(child)


def wait(child: "int") -> "bool":
    """Wait for the end of a program; return whether it succeeded."""
    return status(child) == 0


def status(child: "int") -> "int":
    """Wait for the end of a program; return its exit status, 1 where a signal ended it.

    Where this process ignores SIGCHLD, the kernel keeps no exit status, and a program that has ended counts as successful.
    """
    try:
        _, ended = os.waitpid(child, 0)
    except ChildProcessError:
        return 0
    return os.WEXITSTATUS(ended) if os.WIFEXITED(ended) else 1


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Sequence
