"""The newc cpio archive, an .rpm's payload.

Knows the layout of the archive; hides it behind ``newc`` and ``members``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_MAGIC = "070701"
_TRAILER = "TRAILER!!!"
_HEADER = 110


@dataclass(frozen=True)
class Member:
    """One member: ``mode`` with the file type's bits, ``data`` a file's content or a symlink's target."""

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
def newc(members: Iterable[Member], timestamp: int) -> bytes:
    """Return members as a cpio archive, with inodes from 1 in their order.

    The trailer has no padding to a block of 512, as rpm writes it.
    """
    parts: list[bytes] = []
    for inode, member in enumerate(members, start=1):
        parts += _member(member, inode, timestamp)
    parts += _member(Member(_TRAILER, 0, b""), 0, 0)
    return b"".join(parts)


def _member(member: Member, inode: int, timestamp: int) -> list[bytes]:
    name = member.name.encode() + b"\0"
    numbers = (inode, member.mode, 0, 0, 1, timestamp, len(member.data), 0, 0, 0, 0, len(name), 0)
    header = _MAGIC + "".join(f"{number:08x}" for number in numbers)
    return [_padded(header.encode("ascii") + name), _padded(member.data)]


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


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
