"""Files that others may have put where they are, opened without waiting for anything.

Knows which kinds of files a command reads; hides how one is looked at before it is opened.  A FIFO would hold the command until
somebody writes into it, a device has no end, and some do something when they are opened.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

# What the caller itself hands over: `<(command)` of a shell, standard input.
_OF_THE_CALLER = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")


def opened(path: str | Path, follow: bool = True) -> BinaryIO:
    """Return a regular file, opened for reading; raises OSError for anything else, a link too unless ``follow``.

    Only what the caller hands over (/dev/stdin, /dev/fd/N) may be a pipe.
    """
    if os.fspath(path).startswith(_OF_THE_CALLER):
        return open(path, "rb")
    _check(os.stat(path, follow_symlinks=follow), path)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    try:
        _check(os.fstat(descriptor), path)  # it may be another one by now
        return os.fdopen(descriptor, "rb")
    except OSError:
        os.close(descriptor)
        raise


def _check(status: os.stat_result, path: str | Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
