"""The package formats that can be written.

Knows the name of each format; hides which module writes it.  A writer is a pure function of the Package: no
clock, umask, locale, user or file system has a say in its bytes, and nothing but the standard library is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from ondemand_pkg.formats import deb, rpm
from ondemand_pkg.package import Package


class Format(Protocol):
    """What a module has to offer to be a format."""

    def filename(self, package: Package) -> str:
        """Return the file name, without a directory, that the format's tools expect of a package."""

    def pack(self, package: Package) -> bytes:
        """Return a package as one archive, the same bytes for the same package.

        Raises ValueError where a value can't be carried by the format.
        """


FORMATS: Mapping[str, Format] = MappingProxyType({"deb": deb, "rpm": rpm})
