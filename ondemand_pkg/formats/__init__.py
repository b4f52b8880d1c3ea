"""The package formats that can be written.

Knows the name of each format; hides which module writes it.  The bytes of a package depend on the Package
alone: no clock, umask, locale, user or file system has a say in them, and nothing but the standard library is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import BinaryIO, Protocol

from ondemand_pkg.formats import deb, rpm
from ondemand_pkg.package import Package


class Format(Protocol):
    """What a module has to offer to be a format."""

    def filename(self, package: Package) -> str:
        """Return the file name, without a directory, that the format's tools expect of a package."""

    LARGEST: int  # the most bytes that the files of a package may have together

    def write(self, package: Package, stream: BinaryIO) -> None:
        """Write a package as one archive to an empty stream that can read and seek, the same bytes for the same package.

        Content that is stored on disk goes through memory in blocks.  Raises ValueError where a value can't be carried by
        the format, and OSError.
        """


FORMATS: Mapping[str, Format] = MappingProxyType({"deb": deb, "rpm": rpm})
