"""The .deb reader.

Knows what stands where in a .deb of any writer; hides ar, tar and compression behind ``read``, ``control``
and ``files``.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
import tarfile
from collections.abc import Iterator, Mapping
from datetime import date
from email.utils import parsedate_to_datetime
from typing import IO, BinaryIO, cast

from ondemand_pkg.formats import ar, xz
from ondemand_pkg.formats.blocks import Keeper, drain
from ondemand_pkg.formats.deb import RELATIONS, SCRIPTS
from ondemand_pkg.package import ChangelogEntry, Entry, Kind, Package, Role

_COMPRESSION = {"": "", ".xz": "xz", ".lzma": "lzma", ".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2"}
_CHANGELOG_HEAD = re.compile(r"\S+ \(([^()\s]+)\) .*")  # deb-changelog(5)
_KINDS = {tarfile.REGTYPE: Kind.FILE, tarfile.AREGTYPE: Kind.FILE, tarfile.DIRTYPE: Kind.DIRECTORY,
          tarfile.SYMTYPE: Kind.SYMLINK}


def read(stream: BinaryIO) -> Package:
    """Return the package that a .deb holds, its parent directories among its entries; large contents are not kept.

    The description's lines are joined to paragraphs; the licence is that of the first `License:` of its copyright file.
    Raises ValueError, whose text tells what is wrong with the file, for what is no sound .deb, and for one with hard
    links, devices or the like, which packages of this project have not.
    """
    members = _members(stream)
    files = _control(stream, members)
    fields = _fields(files.get("/control", ""))
    conffiles = set(files.get("/conffiles", "").split("\n"))
    entries = tuple(sorted((_with_role(entry, conffiles) for entry in _entries(stream, members)),
                           key=lambda entry: entry.path))
    version, _, release = fields["Version"].rpartition("-")
    if not version or not release.isascii() or not release.isdigit():
        raise ValueError(f"its version {fields['Version']!r} has no release of digits, as VERSION-RELEASE")
    summary, description = _description(fields.get("Description", ""))
    documents = {entry.path: entry.data for entry in entries if entry.path.startswith(f"/usr/share/doc/{fields['Package']}/")}
    return Package(
        name=fields["Package"], version=version, release=int(release), summary=summary, description=description,
        maintainer=fields.get("Maintainer", ""),
        license=_license(documents.get(f"/usr/share/doc/{fields['Package']}/copyright", b"")),
        entries=entries,
        changelog=_changelog(documents.get(f"/usr/share/doc/{fields['Package']}/changelog.Debian.gz", b"")),
        timestamp=members["debian-binary"].mtime,
        homepage=fields.get("Homepage", ""), section=fields.get("Section", ""),
        scripts={name: files[f"/{name}"] for name in SCRIPTS if f"/{name}" in files},
        relations={name.lower(): tuple(map(str.strip, fields[name].split(","))) for name in RELATIONS if name in fields},
    )


def control(stream: BinaryIO) -> Mapping[str, str]:
    """Return the control fields of a .deb (deb-control(5)), in their order; a folded value keeps its line ends.

    Raises ValueError as ``read`` does.
    """
    return _fields(_control(stream, _members(stream)).get("/control", ""))


def files(stream: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of each file of a .deb that is not large; whatever else it holds is read too.

    Raises ValueError where its data archive is damaged.
    """
    keeper = Keeper()
    for path, member, content in _tree(stream, _members(stream), "data.tar", xz.LARGEST_CONTENT):
        if content:
            data, stored = keeper.keep(content, member.size)
            if not stored:
                yield path, data


def check(stream: BinaryIO) -> None:
    """Raise ValueError unless the data archive of a .deb is there and unpacks to its end."""
    drain(_unpacked(stream, _members(stream), "data.tar", xz.LARGEST_CONTENT))


def _members(stream: BinaryIO) -> Mapping[str, ar.Member]:
    members = {member.name: member for member in ar.members(stream)}
    if "debian-binary" not in members:
        raise ValueError("it is an ar archive but no .deb: it has no member debian-binary")
    return members


def _unpacked(stream: BinaryIO, members: Mapping[str, ar.Member], stem: str, largest: int) -> xz.Reader:
    for ending, kind in _COMPRESSION.items():
        if stem + ending in members:
            return xz.Reader(cast(BinaryIO, members[stem + ending].open(stream)), kind, largest)
    raise ValueError(f"it has no member {stem}")


def _tree(stream: BinaryIO, members: Mapping[str, ar.Member], stem: str,
          largest: int) -> Iterator[tuple[str, tarfile.TarInfo, IO[bytes] | None]]:
    """Yield path, head and content, where it is a file, of all in a tar member but of /; the content before the next one."""
    unpacked = _unpacked(stream, members, stem, largest)
    try:
        with tarfile.open(fileobj=unpacked, mode="r|", encoding="utf-8") as archive:
            for member in archive:
                path = posixpath.normpath(f"/{member.name}").replace("//", "/")
                if path != "/":
                    yield path, member, archive.extractfile(member) if member.isreg() else None
    except (tarfile.TarError, EOFError, OverflowError) as error:
        raise ValueError(f"its {stem} is damaged: {error}") from None
    drain(unpacked)


def _control(stream: BinaryIO, members: Mapping[str, ar.Member]) -> dict[str, str]:
    """Return the files of the control archive."""
    return {path: content.read().decode("utf-8", "surrogateescape")
            for path, _, content in _tree(stream, members, "control.tar", xz.LARGEST_SMALL) if content}


def _entries(stream: BinaryIO, members: Mapping[str, ar.Member]) -> Iterator[Entry]:
    """Yield what the data archive holds."""
    keeper = Keeper()
    for path, member, content in _tree(stream, members, "data.tar", xz.LARGEST_CONTENT):
        if member.type not in _KINDS:
            raise ValueError(f"{path} is neither file nor directory nor symlink")
        data, stored = keeper.keep(content, member.size) if content else (b"", None)
        yield Entry(path, _KINDS[member.type], member.mode & 0o7777, data, member.linkname if member.issym() else "",
                    member.uname or "root", member.gname or "root", stored=stored)


def _with_role(entry: Entry, conffiles: set[str]) -> Entry:
    if entry.path not in conffiles:
        return entry
    return dataclasses.replace(entry, role=Role.CONFIG)


def _fields(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    last = ""
    for line in text.split("\n"):
        if line[:1] in (" ", "\t") and last:
            fields[last] += "\n" + line
        elif ":" in line:
            last, _, value = line.partition(":")
            fields[last] = value.strip(" \t")  # deb822(5); other white space is the value's own
    for name in ("Package", "Version"):
        if not fields.get(name):
            raise ValueError(f"its control file has no field {name}")
    return fields


def _description(text: str) -> tuple[str, tuple[str, ...]]:
    """Return synopsis and paragraphs (Policy 5.6.13)."""
    synopsis, *lines = text.split("\n")
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        if line == " .":
            paragraphs.append([])
        else:
            paragraphs[-1].append(line.strip(" "))
    return synopsis, tuple(" ".join(paragraph) for paragraph in paragraphs if paragraph)


def _license(copyright_file: bytes) -> str:
    for line in copyright_file.decode("utf-8", "replace").split("\n"):
        if line.startswith("License: "):
            return line.removeprefix("License: ").strip()
    return ""


def _changelog(packed: bytes) -> tuple[ChangelogEntry, ...]:
    """Return the entries of a changelog (deb-changelog(5)); a line that is none of its forms is passed over."""
    entries: list[ChangelogEntry] = []
    version, changes = "", list[str]()
    text = xz.decompress(packed, "gzip").decode("utf-8", "replace") if packed else ""
    for line in text.split("\n"):
        head = _CHANGELOG_HEAD.fullmatch(line)
        if head:
            version, changes = head[1], []
        elif line.startswith("  * "):
            changes.append(line[4:])
        elif line.startswith(" -- "):
            entries.append(ChangelogEntry(_day(line.rpartition("  ")[2]), version, tuple(changes)))
    return tuple(entries)


def _day(text: str) -> date:
    try:
        return parsedate_to_datetime(text).date()
    except ValueError:
        raise ValueError(f"its changelog has the date {text!r}, which is none") from None
