"""Packages as bytes, for tests that look into them."""

from __future__ import annotations

import io

from ondemand_pkg.formats import Format, ar
from ondemand_pkg.package import Package


def packed(writer: Format, package: Package) -> bytes:
    """Return a package as one archive."""
    stream = io.BytesIO()
    writer.write(package, stream)
    return stream.getvalue()


def ar_packed(members: list[tuple[str, bytes]], timestamp: int) -> bytes:
    """Return an ar archive."""
    stream = io.BytesIO()
    archive = ar.Writer(stream, timestamp)
    for name, content in members:
        with archive.member(name) as member:
            member.write(content)
    return stream.getvalue()
