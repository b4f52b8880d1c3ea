"""A package, told to a reader.

Knows the order in which people look at a package: fields, scripts, files; hides nothing.
"""

from __future__ import annotations

import gzip
import stat
from collections.abc import Iterator

from ondemand_pkg.formats import Format
from ondemand_pkg.package import Entry, Kind, Package, Role


def shown(package: Package, format: Format) -> str:
    """Return everything that a package holds, as text."""
    return "\n".join(_lines(package, format)) + "\n\n"


def _lines(package: Package, format: Format) -> Iterator[str]:
    yield f"=== {format.filename(package)}"
    fields = {"name": package.name, "version": package.version, "release": str(package.release),
              "summary": package.summary, "maintainer": package.maintainer, "license": package.license,
              "homepage": package.homepage, "built by": package.built_by and f"ondemand-pkg {package.built_by}",
              "watches": package.watched,
              **{name: ", ".join(values) for name, values in package.relations.items()}}
    yield from (f"{name}: {value}" for name, value in fields.items() if value)
    yield from (f"description: {paragraph}" for paragraph in package.description)
    yield from (f"changelog: {entry.version} ({entry.date}): {change}" for entry in package.changelog for change in entry.changes)
    for name, text in package.scripts.items():
        yield f"\n--- script {name}"
        yield from text.rstrip("\n").split("\n")
    for entry in package.entries:
        yield f"\n--- {_headline(entry)}"
        if entry.stored:
            yield f"{entry.size} bytes, SHA-256 {entry.sha256()}"
        elif entry.kind is Kind.FILE:
            yield from _content(entry).rstrip("\n").split("\n")


def _headline(entry: Entry) -> str:
    kind = {Kind.FILE: stat.S_IFREG, Kind.DIRECTORY: stat.S_IFDIR, Kind.SYMLINK: stat.S_IFLNK}[entry.kind]
    line = f"{stat.filemode(kind | entry.mode)} {entry.owner} {entry.group} {entry.path}"
    if entry.kind is Kind.SYMLINK:
        line += f" -> {entry.target}"
    return line if entry.role is Role.PLAIN else f"{line} ({entry.role.value})"


def _content(entry: Entry) -> str:
    data = gzip.decompress(entry.data) if entry.path.endswith(".gz") else entry.data
    return data.decode("utf-8", "backslashreplace")
