"""The .deb reader.

Knows what stands where in a .deb of any writer; hides ar, tar and compression behind ``read`` and ``control``.
"""

from __future__ import annotations

import io
import posixpath
import re
import tarfile
from collections.abc import Mapping
from datetime import date
from email.utils import parsedate_to_datetime

from ondemand_pkg.formats import ar, xz
from ondemand_pkg.formats.deb import RELATIONS, SCRIPTS
from ondemand_pkg.package import ChangelogEntry, Entry, Kind, Package, Role

_COMPRESSION = {"": "", ".xz": "xz", ".lzma": "lzma", ".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2"}
_CHANGELOG_HEAD = re.compile(r"\S+ \(([^()\s]+)\) .*")  # deb-changelog(5)
_KINDS = {tarfile.REGTYPE: Kind.FILE, tarfile.AREGTYPE: Kind.FILE, tarfile.DIRTYPE: Kind.DIRECTORY,
          tarfile.SYMTYPE: Kind.SYMLINK}


def read(data: bytes) -> Package:
    """Return the package that a .deb holds, its parent directories among its entries.

    The description's lines are joined to paragraphs; the licence is that of the first `License:` of its copyright file.
    Raises ValueError, whose text tells what is wrong with the file, for what is no sound .deb, and for one with hard
    links, devices or the like, which packages of this project have not.
    """
    members = {name: (mtime, content) for name, mtime, content in ar.unpack(data)}
    scripts_and_lists = _tree(members, "control.tar")
    files = {entry.path: entry.data.decode("utf-8", "surrogateescape") for entry in scripts_and_lists}
    fields = _fields(files.get("/control", ""))
    conffiles = set(files.get("/conffiles", "").split("\n"))
    entries = tuple(sorted((_with_role(entry, conffiles) for entry in _tree(members, "data.tar")),
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
        timestamp=members["debian-binary"][0],
        homepage=fields.get("Homepage", ""), section=fields.get("Section", ""),
        scripts={name: files[f"/{name}"] for name in SCRIPTS if f"/{name}" in files},
        relations={name.lower(): tuple(map(str.strip, fields[name].split(","))) for name in RELATIONS if name in fields},
    )


def control(data: bytes) -> Mapping[str, str]:
    """Return the control fields of a .deb (deb-control(5)), in their order; a folded value keeps its line ends.

    Raises ValueError as ``read`` does.
    """
    members = {name: (mtime, content) for name, mtime, content in ar.unpack(data)}
    for entry in _tree(members, "control.tar"):
        if entry.path == "/control":
            return _fields(entry.data.decode("utf-8", "surrogateescape"))
    return _fields("")


def _tree(members: Mapping[str, tuple[int, bytes]], stem: str) -> list[Entry]:
    """Return the entries of a tar member, / apart."""
    if "debian-binary" not in members:
        raise ValueError("it is an ar archive but no .deb: it has no member debian-binary")
    for ending, kind in _COMPRESSION.items():
        if stem + ending in members:
            content = xz.decompress(members[stem + ending][1], kind)
            break
    else:
        raise ValueError(f"it has no member {stem}")
    entries = []
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:", encoding="utf-8") as archive:
            for member in archive:
                path = posixpath.normpath(f"/{member.name}").replace("//", "/")
                if path == "/":
                    continue
                if member.type not in _KINDS:
                    raise ValueError(f"{path} is neither file nor directory nor symlink")
                stream = archive.extractfile(member) if member.isreg() else None
                entries.append(Entry(path, _KINDS[member.type], member.mode & 0o7777, stream.read() if stream else b"",
                                     member.linkname if member.issym() else "", member.uname or "root", member.gname or "root"))
    except (tarfile.TarError, EOFError, OverflowError) as error:
        raise ValueError(f"its {stem} is damaged: {error}") from None
    return entries


def _with_role(entry: Entry, conffiles: set[str]) -> Entry:
    if entry.path not in conffiles:
        return entry
    return Entry(entry.path, entry.kind, entry.mode, entry.data, entry.target, entry.owner, entry.group, Role.CONFIG)


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
