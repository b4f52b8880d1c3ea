"""Packages as bytes, for tests that look into them."""

from __future__ import annotations

import io
import tarfile

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


def tar_packed(files: list[tuple[str, bytes]]) -> bytes:
    """Return a tar archive of files, in the dialect of dpkg-deb."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def foreign_deb(control: bytes, data: bytes = tar_packed([])) -> bytes:
    """Return a .deb with a control file of any content."""
    return ar_packed([("debian-binary", b"2.0\n"), ("control.tar", tar_packed([("./control", control)])), ("data.tar", data)], 0)
