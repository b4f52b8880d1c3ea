"""The newc cpio archive, an .rpm's payload.

Knows the layout of the archive; hides it behind ``Writer`` and ``members``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from ondemand_pkg.formats.blocks import Part, blocks, drain
from ondemand_pkg.frozen import frozen
from ondemand_pkg.package import BLOCK

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

_MAGIC = "070701"
_TRAILER = "TRAILER!!!"
_HEADER = 110
_LONGEST_NAME = 2**16  # bytes; Linux takes a path of 4096
_WHAT = "its cpio archive"


@frozen
class Member:
    """One member that was found: ``mode`` with the file type's bits, ``size`` in bytes.

    ``content`` is a file's content or a symlink's target, to be read before the next member is asked for.
    """

    name: str
    mode: int
    size: int
    content: Part


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


def members(stream: BinaryIO) -> Iterator[Member]:
    """Yield the members of a cpio archive.

    Raises ValueError for another kind of archive and for a truncated one.
    """
    while True:
        header = _exactly(stream, _HEADER)
        if header[:6] != _MAGIC.encode("ascii"):
            raise ValueError("its payload is not a newc cpio archive")
        try:
            numbers = [int(header[start:start + 8], 16) for start in range(6, _HEADER, 8)]
        except ValueError:
            raise ValueError("its cpio archive is damaged") from None
        mode, size, name_size = numbers[1], numbers[6], numbers[11]
        if name_size > _LONGEST_NAME:
            raise ValueError("its cpio archive is damaged")
        name = _exactly(stream, name_size + -(_HEADER + name_size) % 4)[:max(name_size - 1, 0)].decode("utf-8", "surrogateescape")
        if name == _TRAILER:
            return
        content = Part(stream, size, _WHAT)
        yield Member(name, mode, size, content)
        drain(content)
        _exactly(stream, -size % 4)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    return b"".join(blocks(Part(stream, size, _WHAT)))
