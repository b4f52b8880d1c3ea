"""The ar archive, a .deb's outermost layer.

Knows the layout of the archive; hides it behind ``pack``.
"""

from __future__ import annotations

from collections.abc import Iterable


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
def pack(members: Iterable[tuple[str, bytes]], timestamp: int) -> bytes:
    """Return contents, each with its name of at most 16 ASCII characters, as an ar archive of root's files."""
    parts = [b"!<arch>\n"]
    for name, data in members:
        header = f"{name:<16}{timestamp:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n"
        parts += [header.encode("ascii"), data, b"\n" if len(data) % 2 else b""]
    return b"".join(parts)
