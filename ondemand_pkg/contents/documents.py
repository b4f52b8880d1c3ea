"""The documents that Debian's Policy asks of every package, and who is named where a declaration names nobody.

Knows copyright, changelog and lintian's overrides as a .deb holds them; hides their formats.
"""

from __future__ import annotations

import struct
import zlib
from datetime import UTC, date, datetime

from ondemand_pkg import layout
from ondemand_pkg.contents.rendering import render
from ondemand_pkg.package import Entry, Kind, Package, Role

DEFAULT_MAINTAINER = "ondemand-pkg <nobody@ondemand-pkg.invalid>"
DEFAULT_LICENSE = "MIT"  # that of the helpers, the only part with an author's right in it
_LARGEST_BLOCK = 0xFFFF  # bytes in a stored block of deflate


def plain_file(path: str, text: str | bytes, mode: int = 0o644, role: Role = Role.PLAIN) -> Entry:
    """Return a file of a package; a text becomes UTF-8."""
    return Entry(path, Kind.FILE, mode, text.encode() if isinstance(text, str) else text, role=role)


def deb_documents(package: Package, overrides: str = "doc/lintian-overrides.j2") -> list[Entry]:
    """Return the files that Policy 12.5 and 12.7 ask of every package, and why lintian's doubts are none (a template)."""
    documents = layout.documents(package.name)
    year = datetime.fromtimestamp(package.timestamp, UTC).year
    return [plain_file(f"{documents}/copyright", render("doc/copyright.j2", p=package, year=year)),
            plain_file(f"{documents}/changelog.Debian.gz", _gzip(debian_changelog(package))),
            plain_file(layout.overrides(package.name), render(overrides, p=package))]


def _gzip(text: str) -> bytes:
    """Return a text as gzip of stored blocks (RFC 1951, 3.2.4), for zlib and zlib-ng compress to different bytes.

    The head says that the slowest algorithm was used (RFC 1952, 2.3.1, XFL), as Policy 12.7 asks.
    """
    data = text.encode()
    starts = range(0, len(data), _LARGEST_BLOCK)
    packed = b"\x1f\x8b\x08" + struct.pack("<BIBB", 0, 0, 2, 3)
    for start in starts:
        block = data[start:start + _LARGEST_BLOCK]
        packed += struct.pack("<BHH", start == starts[-1], len(block), len(block) ^ 0xFFFF) + block
    return packed + struct.pack("<II", zlib.crc32(data), len(data))


def debian_changelog(package: Package) -> str:
    """Return a package's changelog as deb-changelog(5) has it."""
    return "\n".join(
        f"{package.name} ({entry.version}) stable; urgency=medium\n\n"
        + "".join(f"  * {change}\n" for change in entry.changes)
        + f"\n -- {package.maintainer}  {_rfc_date(entry.date)}\n" for entry in package.changelog)


def _rfc_date(day: date) -> str:
    """Return a day's midnight as deb-changelog(5) writes dates, whatever the locale."""
    week, month, *_ = day.ctime().split()
    return f"{week}, {day.day:02} {month} {day.year:04} 00:00:00 +0000"
