"""The package formats: one object for each, with everything in which the two differ for the rest of the builder.

Knows what each format is called and what it asks of a package; hides which module writes, reads and compares it.  The bytes of a
package depend on the Package alone: no clock, umask, locale, user or file system has a say in them, and nothing but the standard
library is needed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, BinaryIO

from ondemand_pkg.formats import ar, deb, rpm, versions
from ondemand_pkg.frozen import frozen
from ondemand_pkg.package import Package


@frozen
class Format:
    """One format; there are no others than those in FORMATS.

    ``name`` is what users call it and what its files end in, after a full stop.  ``magic`` is what its files begin with.
    ``largest`` is the most bytes that the files of a package may have together.  ``depends`` is its name for a dependency,
    ``python`` the package that every Python of its distributions comes with, ``iproute`` the one
    of the command ip.  ``scripts`` are the maintainer scripts of a
    container's package, by the format's names for them.  ``is_signed``: a package holds a signature of its own.
    ``has_documents``: copyright and changelog are files of a package, not values in its header.  ``has_presets``: systemd's
    presets enable the units of a package.  ``owns_directories``: a directory goes with the last package that owns it, and stays
    where none does.  ``watches_directories``: a package is called when files of others come and go below a directory, not where
    their paths begin with certain letters.

    ``write`` writes a package as one archive to an empty stream that can read and seek, the same bytes for the same package;
    content that is stored on disk goes through memory in blocks.  It raises ValueError where a value can't be carried by the
    format, and OSError.  ``read`` returns the package that a stream holds, ``built_by`` the release of ondemand-pkg that built
    it, empty where that is not recorded; both raise ValueError for what is no sound package.  ``version_key`` sorts versions,
    written as [EPOCH:]VERSION-RELEASE, from the oldest to the newest.  ``relation`` writes what
    stands in ``depends``: the name of a package, a sign (=, >=) and a version.
    """

    name: str
    magic: bytes
    largest: int
    architecture: str
    depends: str
    python: str
    iproute: str
    scripts: tuple[str, ...]
    is_signed: bool
    has_documents: bool
    has_presets: bool
    owns_directories: bool
    watches_directories: bool
    write: Callable[[Package, BinaryIO], None]
    read: Callable[[BinaryIO], Package]
    built_by: Callable[[BinaryIO], str]
    file_name: Callable[[str, str, str], str]
    relation: Callable[[str, str, str], str]
    version_key: Callable[[str], Any]

    __eq__, __hash__ = object.__eq__, object.__hash__

    def filename(self, package: Package) -> str:
        """Return the file name, without a directory, that the format's tools expect of a package."""
        return self.file_name(package.name, package.full_version, self.architecture)

    def __str__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Callable[[str], Format], tuple[str]]:
        return called, (self.name,)


# The readers are loaded by who reads: a build does not.

def _read_deb(stream: BinaryIO) -> Package:
    from ondemand_pkg.formats import read_deb

    return read_deb.read(stream)


def _builder_of_deb(stream: BinaryIO) -> str:
    from ondemand_pkg.formats import read_deb

    return read_deb.built_by(stream)


def _read_rpm(stream: BinaryIO) -> Package:
    from ondemand_pkg.formats import read_rpm

    return read_rpm.read(stream)


def _builder_of_rpm(stream: BinaryIO) -> str:
    from ondemand_pkg.formats import read_rpm

    return read_rpm.built_by(stream)


DEB = Format(
    name="deb", magic=ar.MAGIC, largest=deb.LARGEST, architecture=deb.ARCHITECTURE,
    depends="depends", python="python3:any", iproute="iproute2", scripts=("postinst", "prerm", "postrm"),
    relation="{} ({} {})".format,
    is_signed=False, has_documents=True, has_presets=False, owns_directories=False, watches_directories=True,
    write=deb.write, read=_read_deb, built_by=_builder_of_deb, file_name=deb.file_name,
    version_key=functools.cmp_to_key(versions.compare_deb))
RPM = Format(
    name="rpm", magic=rpm.MAGIC, largest=rpm.LARGEST, architecture=rpm.ARCHITECTURE,
    depends="requires", python="python3", iproute="iproute", scripts=("post", "preun", "postun", "posttrans", rpm.TRIGGER),
    relation="{} {} {}".format,
    is_signed=True, has_documents=False, has_presets=True, owns_directories=True, watches_directories=False,
    write=rpm.write, read=_read_rpm, built_by=_builder_of_rpm, file_name=rpm.file_name,
    version_key=functools.cmp_to_key(versions.compare_rpm))
FORMATS: Mapping[str, Format] = MappingProxyType({each.name: each for each in (DEB, RPM)})
LONGEST_MAGIC = max(len(each.magic) for each in FORMATS.values())  # bytes of a file that ``of_content`` needs


def called(name: str) -> Format:
    """Return the format of a name."""
    return FORMATS[name]


def of_content(start: bytes) -> Format | None:
    """Return the format of a file that begins with these bytes, None where it is no package."""
    return next((each for each in FORMATS.values() if start.startswith(each.magic)), None)
