"""What a Package must be for an archive of it to be sound.

Knows the conditions that both formats share; hides nothing of the formats.  The declaration was checked long before;
this is the last defence, so that a fault in between never becomes a broken or a forged package.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from ondemand_pkg.formats.text import check_field, check_line
from ondemand_pkg.package import ChangelogEntry, Entry, Kind, Package, Role

LATEST = 2**32 - 1  # seconds since the epoch that 32 bits hold, as an .rpm has them


def check(package: Package, largest: int) -> None:
    """Raise ValueError where a package can't be written as it stands, naming the value.

    ``largest`` is how many bytes of files the format holds.
    """
    for what in ("name", "version", "summary", "maintainer", "license", "section"):
        check_field(getattr(package, what), what)
    if package.homepage:
        check_field(package.homepage, "homepage")
    for paragraph in package.description:
        check_field(paragraph, "description")
    for kind, relations in package.relations.items():
        for relation in relations:
            check_field(relation, kind)
    for name, text in package.scripts.items():
        if "\0" in text:
            raise ValueError(f"{name}: a script contains a NUL")
    if package.release < 1:
        raise ValueError(f"release: {package.release} is below 1")
    if not 0 <= package.timestamp <= LATEST:
        raise ValueError(f"timestamp: {package.timestamp} is not between 0 and {LATEST}")
    _check_changelog(package.changelog)
    _check_entries(package.entries)
    size = sum(entry.size for entry in package.entries)
    if size > largest:
        raise ValueError(f"the files take {size} bytes; the format allows {largest}")


def _check_changelog(changelog: Iterable[ChangelogEntry]) -> None:
    entries = list(changelog)
    if not entries:
        raise ValueError("changelog: it is empty")
    for entry in entries:
        check_field(entry.version, "changelog")
        for change in entry.changes:
            check_field(change, "changelog")
        if not 1970 <= entry.date.year <= 2105:
            raise ValueError(f"changelog: {entry.date} is not between 1970 and 2105")


def _check_entries(entries: Iterable[Entry]) -> None:
    by_path: dict[str, Entry] = {}
    for entry in entries:
        path = entry.path
        check_line(path, "path")
        # normpath() leaves two leading slashes alone.
        if not path.startswith("/") or path.startswith("//") or path == "/" or posixpath.normpath(path) != path:
            raise ValueError(f"path: {path!r} is not absolute, normalised and below /")
        if path in by_path:
            raise ValueError(f"path: {path!r} occurs twice")
        by_path[path] = entry
        _check_entry(entry)
    for path in by_path:
        parent = by_path.get(posixpath.dirname(path))
        if parent is not None and parent.kind is not Kind.DIRECTORY:
            raise ValueError(f"path: {path!r} is below {parent.path!r}, which is a {parent.kind.value}")


def _check_entry(entry: Entry) -> None:
    path = entry.path
    check_field(entry.owner, f"owner of {path}")
    check_field(entry.group, f"group of {path}")
    if not 0 <= entry.mode <= 0o7777:
        raise ValueError(f"mode of {path}: {entry.mode:o} is not between 0 and 7777")
    if entry.kind is Kind.SYMLINK:
        check_field(entry.target, f"target of {path}")
    elif entry.target:
        raise ValueError(f"{path}: a {entry.kind.value} has a target")
    if entry.data and entry.stored:
        raise ValueError(f"{path}: it has content in memory and on disk")
    if (entry.data or entry.stored) and entry.kind is not Kind.FILE:
        raise ValueError(f"{path}: a {entry.kind.value} has content")
    if entry.role is Role.CONFIG and entry.kind is not Kind.FILE:
        raise ValueError(f"{path}: a {entry.kind.value} can't be a configuration file")
