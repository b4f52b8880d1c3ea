"""The two sides of a comparison: a package file or a declaration.

Knows by which bytes a file is told for what it is; hides the readers.
"""

from __future__ import annotations

from collections.abc import Mapping

from ondemand_pkg import regular_file
from ondemand_pkg.building import packing
from ondemand_pkg.building.images import Images
from ondemand_pkg.declaration import reader
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import DEB, LONGEST_MAGIC, Format, of_content
from ondemand_pkg.package import Package


def format_of(path: str) -> Format | None:
    """Return the format of a package, None for what can only be a declaration; raises OndemandError."""
    try:
        with regular_file.opened(path) as stream:
            start = stream.read(LONGEST_MAGIC)
    except OSError as error:
        raise OndemandError(f"{path}: can't be read: {error.strerror}; give a package (.deb, .rpm) or a declaration") from None
    return of_content(start)


def packages(path: str, declared_format: Format, environ: Mapping[str, str], images: Images) -> list[Package]:
    """Return the package in a file, or those of a declaration as they would be in ``declared_format``.

    Raises OndemandError where it is neither.
    """
    found = format_of(path)
    if found is None:
        declared = reader.read_site([path]).packaged
        return [task.job(images).package() for task in packing.tasks(declared, [declared_format], environ)]
    try:
        with regular_file.opened(path) as stream:
            return [found.read(stream)]
    except (ValueError, OSError) as error:
        raise OndemandError(f"{path}: this .{found.name} can't be read: {error}") from None


def sides(old: str, new: str, environ: Mapping[str, str], images: Images) -> tuple[list[Package], list[Package], bool]:
    """Return the packages on both sides of a comparison, and whether they are of two formats.

    A declaration stands for packages of the other side's format (.deb where both are declarations), and beside a package
    for the one of its name alone.  Raises OndemandError.
    """
    formats = format_of(old), format_of(new)
    declared = formats[0] or formats[1] or DEB
    found = packages(old, declared, environ, images), packages(new, declared, environ, images)
    for packaged, path, one, other in ((formats[0], new, *found), (formats[1], old, *found[::-1])):
        if packaged:
            name = one[0].name
            other[:] = [package for package in other if package.name == name]
            if not other:
                raise OndemandError(f"{path}: it does not contain {name}; compare two files of the same container")
    return *found, None not in formats and formats[0] is not formats[1]
