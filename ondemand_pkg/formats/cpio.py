"""The newc cpio archive, an .rpm's payload.

Knows the layout of the archive; hides it behind ``Writer`` and ``members``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from ondemand_pkg.package import BLOCK

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

_MAGIC = "070701"
_TRAILER = "TRAILER!!!"
_HEADER = 110


@dataclass(frozen=True)
class Member:
    """One member that was read: ``mode`` with the file type's bits, ``data`` a file's content or a symlink's target."""

    name: str
    mode: int
    data: bytes


# Each member (cpio(5), "New ASCII Format") is a header of 110 hexadecimal digits, its name and its content, each of
# the latter two followed by NULs up to a multiple of four:
#
#   070701                         magic
#   00000002 000081a4              inode, mode
#   00000000 00000000 00000001     uid, gid, number of links
#   6553f100 00000004              mtime, size of the content
#   00000000 00000000              major and minor of the device the member was on
#   00000000 00000000              major and minor of the device the member is
#   00000015 00000000              size of the name with its NUL, checksum (0 without one)
#   ./etc/ondemand/x.env\0
#   a=1\n
class Writer:
    """A cpio archive that is written to a stream: members of one time, in seconds since the epoch, with inodes from 1."""

    def __init__(self, stream: SupportsWrite[bytes], timestamp: int) -> None:
        self._stream = stream
        self._timestamp = timestamp
        self._inode = 0

    def add(self, name: str, mode: int, size: int, content: BinaryIO) -> None:
        """Write a member: ``mode`` with the file type's bits, the content of a file or the target of a symlink."""
        self._inode += 1
        self._head(name, self._inode, mode, self._timestamp, size)
        shutil.copyfileobj(content, self._stream, BLOCK)
        self._stream.write(bytes(-size % 4))

    def close(self) -> None:
        """Write the trailer, without the padding to a block of 512, as rpm writes it."""
        self._head(_TRAILER, 0, 0, 0, 0)

    def _head(self, name: str, inode: int, mode: int, timestamp: int, size: int) -> None:
        path = name.encode() + b"\0"
        numbers = (inode, mode, 0, 0, 1, timestamp, size, 0, 0, 0, 0, len(path), 0)
        head = (_MAGIC + "".join(f"{number:08x}" for number in numbers)).encode("ascii") + path
        self._stream.write(head + bytes(-len(head) % 4))


def members(archive: bytes) -> Iterator[Member]:
    """Yield the members of a cpio archive.

    Raises ValueError for another kind of archive and for one that breaks off.
    """
    position = 0
    while True:
        header = archive[position:position + _HEADER]
        if len(header) != _HEADER or header[:6] != _MAGIC.encode("ascii"):
            raise ValueError("its payload is no newc cpio archive, or breaks off")
        try:
            numbers = [int(header[start:start + 8], 16) for start in range(6, _HEADER, 8)]
        except ValueError:
            raise ValueError("its cpio archive is damaged") from None
        mode, size, name_size = numbers[1], numbers[6], numbers[11]
        start = position + _HEADER
        name = archive[start:start + name_size - 1].decode("utf-8", "surrogateescape")
        if name == _TRAILER:
            return
        content = _after_padding(start + name_size)
        if content + size > len(archive):
            raise ValueError("its cpio archive breaks off")
        yield Member(name, mode, archive[content:content + size])
        position = _after_padding(content + size)


def _after_padding(position: int) -> int:
    return position + -position % 4
