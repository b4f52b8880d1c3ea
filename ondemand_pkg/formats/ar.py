"""The ar archive, a .deb's outermost layer.

Knows the layout of the archive; hides it behind ``Writer`` and ``members``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import BinaryIO

from ondemand_pkg.formats.blocks import Part
from ondemand_pkg.frozen import frozen

MAGIC = b"!<arch>\n"
_HEADER = 60
LARGEST_MEMBER = 10**10 - 1  # bytes that the ten digits of a size can tell


# An ar archive (ar(5), the "common" variant; deb(5) allows no other) is a magic and members of 60-byte headers:
#
#   00000000  21 3c 61 72 63 68 3e 0a                          |!<arch>.|
#   00000008  64 65 62 69 61 6e 2d 62  69 6e 61 72 79 20 20 20 |debian-binary   | name, 16
#   00000018  31 37 30 30 30 30 30 30  30 30 20 20             |1700000000  |     mtime, 12, decimal
#   00000024  30 20 20 20 20 20 30 20  20 20 20 20             |0     0     |     uid, gid, 6 each, decimal
#   00000030  31 30 30 36 34 34 20 20                          |100644  |         mode, 8, octal
#   00000038  34 20 20 20 20 20 20 20  20 20                   |4         |       size, 10, decimal
#   00000042  60 0a                                            |`.|               end of the header
#   00000044  32 2e 30 0a                                      |2.0.|             content, then a newline if it is odd
class Writer:
    """An ar archive of root's files with one time, in seconds since the epoch, written to a stream that can seek."""

    def __init__(self, stream: BinaryIO, timestamp: int) -> None:
        self._stream = stream
        self._timestamp = timestamp
        stream.write(MAGIC)

    @contextlib.contextmanager
    def member(self, name: str) -> Iterator[BinaryIO]:
        """Yield the stream that takes the content of a member; its name has at most 16 ASCII characters.

        Raises ValueError at the end of a content that is too large for the archive.
        """
        start = self._stream.tell()
        self._stream.write(self._header(name, 0))
        yield self._stream
        end = self._stream.tell()
        size = end - start - _HEADER
        if size > LARGEST_MEMBER:
            raise ValueError(f"{name}: {size} bytes exceed the limit of {LARGEST_MEMBER}")
        self._stream.seek(start)
        self._stream.write(self._header(name, size))
        self._stream.seek(end)
        if size % 2:
            self._stream.write(b"\n")

    def _header(self, name: str, size: int) -> bytes:
        return f"{name:<16}{self._timestamp:<12}{0:<6}{0:<6}{'100644':<8}{size:<10}`\n".encode("ascii")


@frozen
class Member:
    """A member that was found: its mtime in seconds since the epoch, and where its content lies, in bytes."""

    name: str
    mtime: int
    start: int
    size: int

    def open(self, stream: BinaryIO) -> Part:
        """Return its content, out of the stream that holds the archive."""
        stream.seek(self.start)
        return Part(stream, self.size, f"its {self.name}")


def members(stream: BinaryIO) -> list[Member]:
    """Return the members of an archive, as dpkg reads them (a `/` may end a name).

    Raises ValueError for what is not an ar archive or is truncated.
    """
    end = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    if stream.read(len(MAGIC)) != MAGIC:
        raise ValueError("it is not an ar archive")
    found, position = [], len(MAGIC)
    while position < end:
        stream.seek(position)
        header = stream.read(_HEADER)
        position += _HEADER
        if len(header) != _HEADER or not header.endswith(b"`\n"):
            raise ValueError("the ar archive is damaged")
        mtime, size = header[16:28].strip(), header[48:58].strip()
        if not size.isdigit() or not mtime.isdigit() or position + int(size) > end:
            raise ValueError("the ar archive is truncated")
        name = header[:16].decode("ascii", "replace").rstrip(" ").removesuffix("/")
        found.append(Member(name, int(mtime), position, int(size)))
        position += int(size) + int(size) % 2
    return found
