"""The .rpm reader.

Knows what stands where in an .rpm of format 4, of any writer; hides lead, headers and payload behind ``read``,
``header``, ``built_by`` and ``files``.
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

from ondemand_pkg.formats import cpio, rpmdeps, rpmheader, xz
from ondemand_pkg.formats.blocks import Digested, Keeper, drain
from ondemand_pkg.formats.rpm import BUILT_BY, FLAGS, LEAD, MAGIC, RELATION_TAGS, SCRIPT_TAGS, TRIGGER
from ondemand_pkg.formats.rpmdeps import Dependency
from ondemand_pkg.formats.rpmheader import SignatureTag, Tag, Value
from ondemand_pkg.frozen import frozen
from ondemand_pkg.package import BLOCK, RELEASE, ChangelogEntry, Entry, Kind, Package, Role, Stored

_KINDS = {stat.S_IFREG: Kind.FILE, stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFLNK: Kind.SYMLINK}
# The texts that an index tells of a package.
_SHOWN = (Tag.SUMMARY, Tag.DESCRIPTION, Tag.URL, Tag.LICENSE, Tag.PACKAGER, Tag.GROUP, Tag.BUILDHOST, Tag.SOURCERPM,
          Tag.BASENAMES, Tag.DIRNAMES, Tag.CHANGELOGNAME, Tag.CHANGELOGTEXT,
          *(tag for tags in RELATION_TAGS.values() for tag in tags[:2]))
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
_ROLES = {flags: role for role, flags in FLAGS.items()}


@frozen
class Header:
    """The headers of an .rpm: their values by the number of the tag, and where in the file the main one lies.

    ``start`` and ``end`` are offsets in bytes; the payload begins at ``end``.
    """

    signature: Mapping[int, Value]
    values: Mapping[int, Value]
    start: int
    end: int

    def text(self, tag: Tag) -> str:
        """Return a STRING, or an empty one where the tag is not there."""
        value = self.values.get(tag.number, "")
        return value if isinstance(value, str) else ""

    def broken_text(self) -> str:
        """Return the name of a tag in whose text stands what XML and terminals don't take, empty where there is none."""
        for tag in _SHOWN:
            value = self.values.get(tag.number, "")
            if any(_CONTROL.search(text) for text in ([value] if isinstance(value, str) else map(str, self.list(tag)))):
                return tag.name
        return ""

    def list(self, tag: Tag) -> list[Any]:
        """Return the values of an array, none where the tag is not there."""
        value = self.values.get(tag.number, [])
        return [] if isinstance(value, int | str | bytes) else [*value]


def front(stream: BinaryIO) -> bytes:
    """Return what stands before the payload of an .rpm, and leave the stream there; raises ValueError where it is truncated."""
    lead = stream.read(LEAD)
    if not lead.startswith(MAGIC):
        raise ValueError("it is not an .rpm")
    signature = rpmheader.read(stream)
    return b"".join([lead, signature, stream.read(-(LEAD + len(signature)) % 8), rpmheader.read(stream)])


def header(data: bytes) -> Header:
    """Return the headers of an .rpm, of which ``data`` holds at least the front.

    Raises ValueError, whose text tells what is wrong with the file, for what is no .rpm, and for one whose header is not
    the one of which its signature header holds the digest.
    """
    if not data.startswith(MAGIC):
        raise ValueError("it is not an .rpm")
    signature, end = rpmheader.unpack(data, LEAD, SignatureTag)
    start = end + -end % 8
    values, end = rpmheader.unpack(data, start, Tag)
    digest = signature.get(SignatureTag.SHA256.number)
    if digest and digest != hashlib.sha256(data[start:end]).hexdigest():
        raise ValueError("its header is damaged: its digest does not match the signature header")
    return Header(signature, values, start, end)


def read(stream: BinaryIO) -> Package:
    """Return the package that an .rpm holds; relations that rpmbuild adds by itself are left out, large contents not kept.

    The description's lines are joined to paragraphs.  Raises ValueError as ``header`` does, for a damaged payload, and
    for an .rpm with devices or the like, which packages of this project have not.
    """
    found = header(front(stream))
    payload = Digested(stream)
    keeper = Keeper()
    contents = {path: keeper.keep(member.content, member.size) for path, member in _members(found, cast(BinaryIO, payload))}
    digests = found.list(Tag.PAYLOADDIGEST)
    if digests and digests[0] != payload.sha256():
        raise ValueError("its payload is damaged: its digest does not match the header")
    name, release = found.text(Tag.NAME), found.text(Tag.RELEASE)
    if not name or not found.text(Tag.VERSION):
        raise ValueError("its header has no name or no version")
    if not RELEASE.fullmatch(release):
        raise ValueError(f"its release {release[:80]!r} is not a number of up to nine digits")
    packager, triggered = found.text(Tag.PACKAGER), found.list(Tag.TRANSFILETRIGGERSCRIPTS)
    return Package(
        name=name, version=found.text(Tag.VERSION), release=int(release), summary=found.text(Tag.SUMMARY),
        description=tuple(" ".join(paragraph.split("\n")) for paragraph in found.text(Tag.DESCRIPTION).split("\n\n")),
        maintainer=packager, license=found.text(Tag.LICENSE), entries=_entries(found, contents),
        changelog=_changelog(found, packager), timestamp=next(iter(found.list(Tag.BUILDTIME)), 0),
        homepage=found.text(Tag.URL), section="",
        scripts={script: found.text(tag) for script, (tag, _) in SCRIPT_TAGS.items() if tag.number in found.values}
        | dict.fromkeys([TRIGGER] if triggered else [], "".join(triggered[:1])),
        relations=_relations(found, name), built_by=_built_by(found),
        watched=next(iter(found.list(Tag.TRANSFILETRIGGERNAME)), ""),
    )


def built_by(stream: BinaryIO) -> str:
    """Return the release of ondemand-pkg that built an .rpm, empty where it does not say; reads nothing of its files.

    Raises ValueError as ``header`` does.
    """
    return _built_by(header(front(stream)))


def _built_by(found: Header) -> str:
    tag = found.text(Tag.DISTTAG)
    return tag.removeprefix(BUILT_BY) if tag.startswith(BUILT_BY) else ""


def files(found: Header, payload: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of each member of a payload that is not large; raises ValueError where it is damaged."""
    keeper = Keeper()
    for path, member in _members(found, payload):
        data, stored = keeper.keep(member.content, member.size)
        if not stored:
            yield path, data


def _members(found: Header, payload: BinaryIO) -> Iterator[tuple[str, cpio.Member]]:
    unpacked = xz.Reader(payload, found.text(Tag.PAYLOADCOMPRESSOR))
    left = len(found.list(Tag.BASENAMES))
    for member in cpio.members(cast(BinaryIO, io.BufferedReader(unpacked, BLOCK))):
        left -= 1
        if left < 0:
            raise ValueError("its payload is damaged: it has more files than its header")
        yield member.name.removeprefix("."), member
    drain(unpacked)
    drain(payload)


def _together(found: Header, *tags: Tag) -> Iterator[tuple[Any, ...]]:
    """Yield the values of arrays that belong together."""
    try:
        yield from zip(*map(found.list, tags), strict=True)
    except ValueError:
        raise ValueError(f"its header is damaged: {tags[0].name} and what belongs to it have different lengths") from None


def _entries(found: Header, contents: Mapping[str, tuple[bytes, Stored | None]]) -> tuple[Entry, ...]:
    directories = found.list(Tag.DIRNAMES)
    entries = []
    try:
        for base, index, mode, target, flags, owner, group in _together(
                found, Tag.BASENAMES, Tag.DIRINDEXES, Tag.FILEMODES, Tag.FILELINKTOS, Tag.FILEFLAGS, Tag.FILEUSERNAME,
                Tag.FILEGROUPNAME):
            path = directories[index] + base
            if stat.S_IFMT(mode) not in _KINDS:
                raise ValueError(f"{path} is neither file nor directory nor symlink")
            kind = _KINDS[stat.S_IFMT(mode)]
            data, stored = contents[path] if kind is Kind.FILE else (b"", None)
            role = _ROLES.get(flags, Role.PLAIN)
            entries.append(Entry(path, kind, stat.S_IMODE(mode), data, target, owner, group, role, stored))
    except (IndexError, KeyError) as error:
        raise ValueError(f"its list of files is damaged: {error}") from None
    return tuple(entries)


def _relations(found: Header, name: str) -> dict[str, tuple[str, ...]]:
    relations = {}
    for kind, tags in RELATION_TAGS.items():
        dependencies = [Dependency(*one) for one in _together(found, *tags)]
        declared = [rpmdeps.text(one) for one in dependencies if not rpmdeps.is_automatic(one, name)]
        if declared:
            relations[kind] = tuple(declared)
    return relations


def _changelog(found: Header, packager: str) -> tuple[ChangelogEntry, ...]:
    return tuple(
        ChangelogEntry(datetime.fromtimestamp(time, UTC).date(), who.removeprefix(f"{packager} - "),
                       tuple(line.removeprefix("- ") for line in text.split("\n")))
        for time, who, text in _together(found, Tag.CHANGELOGTIME, Tag.CHANGELOGNAME, Tag.CHANGELOGTEXT))
