"""The .deb writer.

Knows deb(5), deb-control(5) and the order in which dpkg-deb and debhelper write; hides ar, tar and xz behind
``file_name`` and ``write``.
"""

from __future__ import annotations

import posixpath
import re
import tarfile
from collections.abc import Iterable
from typing import BinaryIO

from ondemand_pkg.formats import ar, xz
from ondemand_pkg.formats.checks import check
from ondemand_pkg.formats.deb822 import RELATIONS
from ondemand_pkg.formats.text import fold
from ondemand_pkg.package import Entry, Kind, Package, Role

SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
ARCHITECTURE = "all"
# Bytes of files; a little less than the ar archive takes, for the heads of the tar archive's members and for xz, which makes
# what can't be compressed larger.
LARGEST = ar.LARGEST_MEMBER - 2**24
BUILT_BY = "X-Ondemand-Pkg"  # Policy 5.7: a field of one's own begins with X-
NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")  # Policy 5.6.1
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+~-]*")  # Policy 5.6.12, without an epoch
_TYPES = {Kind.FILE: tarfile.REGTYPE, Kind.DIRECTORY: tarfile.DIRTYPE, Kind.SYMLINK: tarfile.SYMTYPE}


def file_name(name: str, version: str, architecture: str) -> str:
    """Return NAME_VERSION-RELEASE_ARCHITECTURE.deb, in which an epoch has no place (Policy 5.6.12)."""
    return f"{name}_{version.rpartition(':')[2]}_{architecture}.deb"


def write(package: Package, stream: BinaryIO) -> None:
    """Write a package as a .deb (deb(5)), with its timestamp on every member, to a stream that can seek.

    Raises ValueError where a value can't stand in a control file or in the archive.
    """
    _check(package)
    tree = _tree(package.entries)
    archive = ar.Writer(stream, package.timestamp)
    with archive.member("debian-binary") as member:
        member.write(b"2.0\n")
    for name, entries in (("control.tar.xz", _control(package, tree)), ("data.tar.xz", tree)):
        with archive.member(name) as member:
            _write_tar(member, entries, package.timestamp)


def _check(package: Package) -> None:
    check(package, LARGEST)
    if not NAME.fullmatch(package.name):
        raise ValueError(f"name: {package.name!r} is not a Debian package name (Policy 5.6.1)")
    if not _VERSION.fullmatch(package.version):
        raise ValueError(f"version: {package.version!r} is not a Debian upstream version (Policy 5.6.12)")
    for relation in package.relations:
        if relation.title() not in RELATIONS:
            raise ValueError(f"relations: a .deb does not have {relation!r}")
    for name, text in package.scripts.items():
        if name not in SCRIPTS:
            raise ValueError(f"scripts: a .deb does not have {name!r}")
        if not text.startswith("#!"):  # dpkg executes it directly
            raise ValueError(f"scripts: {name} does not start with #!")


# --- the files ---------------------------------------------------------------------------------------------------


def _tree(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries with / and every parent directory, in the order of the archive.

    A directory stands before its content (dpkg unpacks in this order), names sort by their bytes within each
    directory, and symlinks come last so that none is there before its target (dpkg-deb does the same).
    """
    found = {entry.path: entry for entry in entries}
    for path in list(found):
        while path != "/" and (path := posixpath.dirname(path)) not in found:
            found[path] = Entry(path, Kind.DIRECTORY, 0o755)
    return sorted(found.values(), key=lambda entry: (entry.kind is Kind.SYMLINK, entry.path.split("/")))


def _installed_size(tree: Iterable[Entry]) -> int:
    """Return the size in KiB as dpkg-gencontrol(1) counts: content rounded up for each file, 1 for a directory."""
    return sum(1 if entry.kind is Kind.DIRECTORY else -(-(entry.size or len(entry.target.encode())) // 1024)
               for entry in tree)


# --- the control archive -----------------------------------------------------------------------------------------


def _control(package: Package, tree: Iterable[Entry]) -> list[Entry]:
    """Return the members of control.tar, sorted as dpkg-deb sorts them; empty lists are left out."""
    tree = list(tree)
    files = [entry for entry in tree if entry.kind is Kind.FILE]
    conffiles = sorted(entry.path for entry in files if entry.role is Role.CONFIG)
    texts = {
        "conffiles": "".join(f"{path}\n" for path in conffiles),
        "control": _control_file(package, tree),
        "triggers": f"interest-noawait {package.watched}\n" if package.watched else "",
        "md5sums": _md5sums(entry for entry in files if entry.role is not Role.CONFIG),
    }
    members = [Entry(f"/{name}", Kind.FILE, 0o644, text.encode()) for name, text in texts.items() if text]
    members += [Entry(f"/{name}", Kind.FILE, 0o755, text.encode()) for name, text in package.scripts.items()]
    return _tree(members)


def _control_file(package: Package, tree: Iterable[Entry]) -> str:
    relations = {name.title(): ", ".join(values) for name, values in package.relations.items() if values}
    fields = {
        "Package": package.name,
        "Version": package.full_version,
        "Architecture": ARCHITECTURE,
        "Maintainer": package.maintainer,
        "Installed-Size": str(_installed_size(tree)),
        **{name: relations[name] for name in RELATIONS if name in relations},
        "Section": package.section,
        "Priority": "optional",
        "Homepage": package.homepage,
        "Description": "\n".join([package.summary, *_extended(package.description)]),
        BUILT_BY: package.built_by,
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)


def _extended(description: tuple[str, ...]) -> list[str]:
    """Return the extended description as Policy 5.6.13 has it: a space before each line, `.` for a blank one."""
    lines: list[str] = []
    for paragraph in description:
        if lines:
            lines.append(" .")
        # Two spaces make a line verbatim: the way out for one that would otherwise be taken for a blank.
        lines += [f"  {line}" if line.startswith(".") else f" {line}" for line in fold(paragraph)]
    return lines


def _md5sums(files: Iterable[Entry]) -> str:
    """Return deb-md5sums(5) for files that no administrator changes, in dh_md5sums' order (C locale)."""
    return "".join(f"{entry.md5()}  {entry.path[1:]}\n"
                   for entry in sorted(files, key=lambda entry: entry.path))


# --- both archives -----------------------------------------------------------------------------------------------


def _write_tar(stream: BinaryIO, tree: Iterable[Entry], timestamp: int) -> None:
    """Write entries as a GNU tar archive, the dialect of dpkg-deb, compressed.

    The numbers of owner and group are 0; dpkg looks the names up on the host that it unpacks on.
    """
    compressed = xz.Writer(stream)
    with tarfile.open(fileobj=compressed, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8") as archive:
        for entry in tree:
            member = tarfile.TarInfo(f".{entry.path}")
            member.type = _TYPES[entry.kind]
            member.mode = 0o777 if entry.kind is Kind.SYMLINK else entry.mode
            member.uname, member.gname = entry.owner, entry.group
            member.mtime = timestamp
            member.size = entry.size
            member.linkname = entry.target
            with entry.open() as content:
                archive.addfile(member, content)
    compressed.close()
