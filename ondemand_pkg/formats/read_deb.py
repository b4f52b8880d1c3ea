"""The .deb reader.

Knows what stands where in a .deb of any writer; hides ar, tar and compression behind ``read``, ``control``,
``built_by`` and ``files``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import posixpath
import re
import tarfile
from collections.abc import Iterator, Mapping
from datetime import date
from email.utils import parsedate_to_datetime
from typing import IO, Any, BinaryIO, Self, cast

from ondemand_pkg import layout
from ondemand_pkg.formats import ar, deb822, xz
from ondemand_pkg.formats.blocks import Keeper, drain
from ondemand_pkg.formats.deb import BUILT_BY, SCRIPTS
from ondemand_pkg.formats.deb822 import RELATIONS
from ondemand_pkg.package import RELEASE, ChangelogEntry, Entry, Kind, Package, Role

_COMPRESSION = {"": "", ".xz": "xz", ".lzma": "lzma", ".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2"}
_CHANGELOG_HEAD = re.compile(r"\S+ \(([^()\s]+)\) .*")  # deb-changelog(5)
_ABOUT_OTHERS = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_LARGEST_HEAD = 2**16  # bytes of a name or of extended attributes, which tarfile reads at once; Linux takes a path of 4096
_LARGEST_LIST = 2**20  # characters of conffiles
# An archive of nothing but heads unpacks to a thousand times its size; a real one has some bytes for each.
_MOST_MEMBERS, _BYTES_OF_MEMBER = 50_000, 20
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
    fields = deb822.control(files.get("/control", ""))
    if len(files.get("/conffiles", "")) > _LARGEST_LIST:
        raise ValueError(f"its list of conffiles is larger than {_LARGEST_LIST >> 20} MiB")
    conffiles = set(files.get("/conffiles", "").split("\n"))
    entries = tuple(sorted((_with_role(entry, conffiles) for entry in _entries(stream, members)),
                           key=lambda entry: entry.path))
    version, _, release = fields["Version"].rpartition("-")
    if not version or not RELEASE.fullmatch(release):
        raise ValueError(f"its version {fields['Version'][:80]!r} does not end in a numeric release (VERSION-RELEASE)")
    summary, description = _description(fields.get("Description", ""))
    directory = layout.documents(fields["Package"])
    documents = {entry.path: entry.data for entry in entries if entry.path.startswith(f"{directory}/")}
    return Package(
        name=fields["Package"], version=version, release=int(release), summary=summary, description=description,
        maintainer=fields.get("Maintainer", ""),
        license=_license(documents.get(f"{directory}/copyright", b"")),
        entries=entries,
        changelog=_changelog(documents.get(f"{directory}/changelog.Debian.gz", b"")),
        timestamp=members["debian-binary"].mtime,
        homepage=fields.get("Homepage", ""), section=fields.get("Section", ""),
        scripts={name: files[f"/{name}"] for name in SCRIPTS if f"/{name}" in files},
        relations={name.lower(): tuple(map(str.strip, fields[name].split(","))) for name in RELATIONS if name in fields},
        built_by=fields.get(BUILT_BY, ""),
        watched=files.get("/triggers", "").removeprefix("interest-noawait ").strip(),
    )


def control(stream: BinaryIO) -> Mapping[str, str]:
    """Return the control fields of a .deb (deb-control(5)), in their order; a folded value keeps its line ends.

    Raises ValueError as ``read`` does.
    """
    return deb822.control(_control(stream, _members(stream)).get("/control", ""))


def built_by(stream: BinaryIO) -> str:
    """Return the release of ondemand-pkg that built a .deb, empty where it does not say; reads nothing of its files.

    Raises ValueError as ``read`` does.
    """
    return control(stream).get(BUILT_BY, "")


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
    """Return the members that dpkg reads: the first two archives of those, whatever follows (deb(5))."""
    found = ar.members(stream)
    members = {member.name: member for member in found}
    if "debian-binary" not in members:
        raise ValueError("it is an ar archive but not a .deb: it has no member debian-binary")
    # Another archive of control files is another package to another reader.
    stems = [member.name.partition(".")[0] for member in found]
    if stems[0] != "debian-binary" or any(stems.count(stem) > 1 for stem in ("debian-binary", "control", "data")):
        raise ValueError("it has members twice, or not in their order")
    return members


def _unpacked(stream: BinaryIO, members: Mapping[str, ar.Member], stem: str, largest: int) -> xz.Reader:
    for ending, kind in _COMPRESSION.items():
        if stem + ending in members:
            return xz.Reader(cast(BinaryIO, members[stem + ending].open(stream)), kind, largest)
    raise ValueError(f"it has no member {stem}")


class _Head(tarfile.TarInfo):
    """The head of a member; one that would be followed by much that is no file's content is refused."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Return a head out of its block."""
        head = super().frombuf(buf, encoding, errors)
        if head.type in _ABOUT_OTHERS and head.size > _LARGEST_HEAD:
            raise ValueError(f"it has a name or header of {head.size} bytes")
        if head.type == tarfile.GNUTYPE_SPARSE:
            raise ValueError("it has a sparse file")  # of any size out of nothing
        return head


class _Content:
    """The content of a member, whose damage is found by who reads it."""

    def __init__(self, content: IO[bytes], stem: str) -> None:
        self._content = content
        self._stem = stem

    def read(self, size: int = -1) -> bytes:
        """Return up to so many bytes; raises ValueError where the archive is damaged."""
        with _damage(self._stem):
            return self._content.read(size)


@contextlib.contextmanager
def _damage(stem: str) -> Iterator[None]:
    """Tell what tarfile raises at a damaged archive as a ValueError."""
    try:
        yield
    except (tarfile.TarError, EOFError, OverflowError, LookupError) as error:
        raise ValueError(f"its {stem} is damaged: {error}") from None


def _tree(stream: BinaryIO, members: Mapping[str, ar.Member], stem: str,
          largest: int) -> Iterator[tuple[str, tarfile.TarInfo, _Content | None]]:
    """Yield path, head and content, where it is a file, of all in a tar member but of /; the content before the next one."""
    unpacked = _unpacked(stream, members, stem, largest)
    most = _MOST_MEMBERS + sum(member.size for member in members.values()) // _BYTES_OF_MEMBER
    with _damage(stem), tarfile.open(fileobj=unpacked, mode="r|", encoding="utf-8", tarinfo=_Head) as archive:
        while member := archive.next():
            cast(Any, archive).members.clear()  # or all heads would stay in memory
            most -= 1
            if most < 0:
                raise ValueError(f"its {stem} is damaged: it has more members than a package of its size")
            if member.issparse():
                raise ValueError(f"its {stem} is damaged: it has a sparse file")
            path = posixpath.normpath(f"/{member.name}").replace("//", "/")
            if path != "/":
                content = archive.extractfile(member) if member.isreg() else None
                yield path, member, _Content(content, stem) if content else None
    drain(unpacked)


def _control(stream: BinaryIO, members: Mapping[str, ar.Member]) -> dict[str, str]:
    """Return the files of the control archive."""
    found: dict[str, str] = {}
    for path, _, content in _tree(stream, members, "control.tar", xz.LARGEST_SMALL):
        if path in found:
            raise ValueError(f"its control.tar contains {path[1:81]} twice")
        found[path] = content.read().decode("utf-8", "surrogateescape") if content else ""
    return found


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
    except (ValueError, OverflowError, TypeError):
        raise ValueError(f"its changelog has an invalid date: {text[:80]!r}") from None
