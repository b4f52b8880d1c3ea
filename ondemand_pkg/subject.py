"""The two sides of a comparison: a package file or a declaration.

Knows by which bytes a file is told for what it is; hides the readers.
"""

from __future__ import annotations

from collections.abc import Mapping

from ondemand_pkg import tree
from ondemand_pkg.declaration import reader
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import read_deb, read_rpm
from ondemand_pkg.images import Images
from ondemand_pkg.package import Package

_READERS = {"deb": read_deb.read, "rpm": read_rpm.read}


def format_of(path: str) -> str | None:
    """Return "deb" or "rpm" for a package, None for what can only be a declaration; raises OndemandError."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(8)
    except OSError as error:
        raise OndemandError(f"{path}: can't be read: {error.strerror}; give a package (.deb, .rpm) or a declaration") from None
    return next((name for magic, name in reader.PACKAGE_MAGICS.items() if start.startswith(magic)), None)


def packages(path: str, declared_format: str, environ: Mapping[str, str], images: Images) -> list[Package]:
    """Return the package in a file, or those of a declaration as they would be in ``declared_format``.

    Raises OndemandError where it is neither.
    """
    found = format_of(path)
    if found is None:
        return [tree.package(container, declared_format, tree.timestamp(container, environ))
                for container in map(images.resolved, reader.read([path]))]
    try:
        with open(path, "rb") as stream:
            return [_READERS[found](stream)]
    except (ValueError, OSError) as error:
        raise OndemandError(f"{path}: this .{found} can't be read: {error}") from None


def sides(old: str, new: str, environ: Mapping[str, str], images: Images) -> tuple[list[Package], list[Package], bool]:
    """Return the packages on both sides of a comparison, and whether they are of two formats.

    A declaration stands for packages of the other side's format (.deb where both are declarations), and beside a package
    for the one of its name alone.  Raises OndemandError.
    """
    formats = format_of(old), format_of(new)
    declared = formats[0] or formats[1] or "deb"
    found = packages(old, declared, environ, images), packages(new, declared, environ, images)
    for packaged, path, one, other in ((formats[0], new, *found), (formats[1], old, *found[::-1])):
        if packaged:
            name = one[0].name
            other[:] = [package for package in other if package.name == name]
            if not other:
                raise OndemandError(f"{path}: it holds no {name}; compare the two files of one container")
    return *found, None not in formats and formats[0] != formats[1]
