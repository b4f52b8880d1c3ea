"""The newc cpio archive, an .rpm's payload.

Knows the layout of the archive; hides it behind ``newc``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_MAGIC = "070701"
_TRAILER = "TRAILER!!!"


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
