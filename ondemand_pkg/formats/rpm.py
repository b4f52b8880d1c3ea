"""The .rpm writer.

Knows what rpmbuild puts into a package of format 4, which rpm 4.14 (EL 8) to 6 read; hides lead, headers and payload
behind ``file_name`` and ``write``.
"""

from __future__ import annotations

import calendar
import hashlib
import io
import posixpath
import re
import stat
import struct
from collections.abc import Iterable, Mapping
from typing import BinaryIO

from ondemand_pkg.formats import cpio, rpmdeps, rpmheader, xz
from ondemand_pkg.formats.blocks import Measured
from ondemand_pkg.formats.checks import check
from ondemand_pkg.formats.rpmdeps import Dependency, Sense
from ondemand_pkg.formats.rpmheader import SignatureTag, Tag, Value
from ondemand_pkg.formats.text import fold
from ondemand_pkg.frozen import frozen
from ondemand_pkg.package import BLOCK, ChangelogEntry, Entry, Kind, Package, Role

MAGIC = b"\xed\xab\xee\xdb"
LEAD = 96  # bytes
ARCHITECTURE = "noarch"
# Bytes of files; a little less than 32 bits tell, for the heads of the archive's members and for what xz adds where nothing
# can be compressed.
LARGEST = 2**32 - 1 - 2**24
# The rpm whose rpmbuild this writer does as; packages of its format are all alike for the readers.
RPM_VERSION = "4.18.0"
# Before the release of this program in DISTTAG: the tag that `rpm -qi` shows and that means nothing to a solver.  VENDOR, shown
# too, does: zypper, and dnf with allow_vendor_change=0, hold back an upgrade to a package of another vendor.
BUILT_BY = "ondemand-pkg-"
BUILD_HOST = "localhost"  # the building host is of no interest and would make each host's package another one
_SHA256 = 8  # RFC 4880, 9.4
_RESERVED_SPACE = 4128  # bytes, as many as rpmbuild reserves
_VERIFY_ALL = 0xFFFFFFFF
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
VERSION = re.compile(r"[A-Za-z0-9._+~^]+")  # no hyphen: it parts version and release
_TYPES = {Kind.FILE: stat.S_IFREG, Kind.DIRECTORY: stat.S_IFDIR, Kind.SYMLINK: stat.S_IFLNK}
# rpmfiles.h, rpmfileAttrs: CONFIG is 1 and NOREPLACE is 16.
FLAGS = {Role.PLAIN: 0, Role.CONFIG: 1 | 16, Role.DOC: 2, Role.LICENSE: 128}
SCRIPT_TAGS = {
    "pretrans": (Tag.PRETRANS, Tag.PRETRANSPROG),
    "pre": (Tag.PREIN, Tag.PREINPROG),
    "post": (Tag.POSTIN, Tag.POSTINPROG),
    "preun": (Tag.PREUN, Tag.PREUNPROG),
    "postun": (Tag.POSTUN, Tag.POSTUNPROG),
    "posttrans": (Tag.POSTTRANS, Tag.POSTTRANSPROG),
}
# Run once after a transaction that has removed packages with files of certain names (rpm's docs/manual/file_triggers.md).
TRIGGER = "transfiletriggerpostun"
TRIGGER_PRIORITY = 1_000_000  # rpm's own default
RELATION_TAGS = {
    "requires": (Tag.REQUIRENAME, Tag.REQUIREVERSION, Tag.REQUIREFLAGS),
    "provides": (Tag.PROVIDENAME, Tag.PROVIDEVERSION, Tag.PROVIDEFLAGS),
    "conflicts": (Tag.CONFLICTNAME, Tag.CONFLICTVERSION, Tag.CONFLICTFLAGS),
    "obsoletes": (Tag.OBSOLETENAME, Tag.OBSOLETEVERSION, Tag.OBSOLETEFLAGS),
    "recommends": (Tag.RECOMMENDNAME, Tag.RECOMMENDVERSION, Tag.RECOMMENDFLAGS),
    "suggests": (Tag.SUGGESTNAME, Tag.SUGGESTVERSION, Tag.SUGGESTFLAGS),
    "supplements": (Tag.SUPPLEMENTNAME, Tag.SUPPLEMENTVERSION, Tag.SUPPLEMENTFLAGS),
    "enhances": (Tag.ENHANCENAME, Tag.ENHANCEVERSION, Tag.ENHANCEFLAGS),
}
_NEVER_RICH = ("provides", "obsoletes")


def file_name(name: str, version: str, architecture: str) -> str:
    """Return NAME-VERSION-RELEASE.ARCHITECTURE.rpm, in which an epoch has no place."""
    return f"{name}-{version.rpartition(':')[2]}.{architecture}.rpm"


def write(package: Package, stream: BinaryIO) -> None:
    """Write a package as an .rpm of format 4, unsigned, with room for rpmsign to sign it in place.

    The stream can seek and read: the payload is written first, because what stands before it holds its digests, in room
    that does not depend on them.  Raises ValueError where a value can't stand in a header.
    """
    _check(package)
    entries = sorted(package.entries, key=lambda entry: entry.path)  # rpm searches the paths as sorted
    values = {
        **_identity(package),
        **_texts(package),
        **_files(entries, package.timestamp),
        **_scripts(package),
        **_relations(package),
        **_changelog(package.changelog, package.maintainer),
    }
    begin = len(_front(package, values, _Payload(), ()))
    stream.seek(begin)
    payload = _write_payload(stream, entries, package.timestamp)
    stream.seek(begin)
    front = _front(package, values, payload, iter(lambda: stream.read(BLOCK), b""))
    stream.seek(0)
    stream.write(front)


def _check(package: Package) -> None:
    check(package, LARGEST)
    if not NAME.fullmatch(package.name):
        raise ValueError(f"name: {package.name!r} is not a name of an .rpm")
    if not VERSION.fullmatch(package.version):
        raise ValueError(f"version: {package.version!r} is not a version of an .rpm")
    for name in package.scripts:
        if name not in SCRIPT_TAGS and (name != TRIGGER or not package.watched):
            raise ValueError(f"scripts: an .rpm does not have {name!r}")
    for relation in package.relations:
        if relation not in RELATION_TAGS:
            raise ValueError(f"relations: an .rpm does not have {relation!r}")


def _name_version_release(package: Package) -> str:
    return f"{package.name}-{package.full_version}"


# --- the header --------------------------------------------------------------------------------------------------


def _identity(package: Package) -> dict[Tag, Value]:
    return {
        Tag.NAME: package.name,
        Tag.VERSION: package.version,
        Tag.RELEASE: str(package.release),
        Tag.ARCH: ARCHITECTURE,
        Tag.OS: "linux",
        Tag.PLATFORM: f"{ARCHITECTURE}-linux",
        Tag.BUILDTIME: package.timestamp,
        Tag.BUILDHOST: BUILD_HOST,
        Tag.RPMVERSION: RPM_VERSION,
        **({Tag.DISTTAG: BUILT_BY + package.built_by} if package.built_by else {}),
        # There is none; without the tag rpm would take the package itself for a source package.
        Tag.SOURCERPM: f"{_name_version_release(package)}.src.rpm",
    }


def _texts(package: Package) -> dict[Tag, Value]:
    description = "\n\n".join("\n".join(fold(paragraph)) for paragraph in package.description)
    return {
        Tag.HEADERI18NTABLE: ["C"],  # the locales of the I18NSTRINGs: the untranslated one alone
        Tag.ENCODING: "utf-8",
        Tag.SUMMARY: package.summary,
        Tag.DESCRIPTION: description or package.summary,
        Tag.GROUP: "Unspecified",
        Tag.LICENSE: package.license,
        Tag.PACKAGER: package.maintainer,
        **({Tag.URL: package.homepage} if package.homepage else {}),
    }


def _files(entries: list[Entry], timestamp: int) -> dict[Tag, Value]:
    """Return the parallel arrays of the files; a path is a base name and an index into the directories' names."""
    directories: dict[str, int] = {}
    indexes = [directories.setdefault(posixpath.join(posixpath.dirname(entry.path), ""), len(directories))
               for entry in entries]
    count = len(entries)
    return {
        Tag.BASENAMES: [posixpath.basename(entry.path) for entry in entries],
        Tag.DIRNAMES: list(directories),
        Tag.DIRINDEXES: indexes,
        Tag.SIZE: sum(map(_size, entries)),
        Tag.FILESIZES: [_size(entry) for entry in entries],
        Tag.FILEMODES: [_mode(entry) for entry in entries],
        Tag.FILEMTIMES: [timestamp] * count,
        Tag.FILEDIGESTALGO: _SHA256,
        Tag.FILEDIGESTS: [_digest(entry) for entry in entries],
        Tag.FILELINKTOS: [entry.target for entry in entries],
        Tag.FILEFLAGS: [FLAGS[entry.role] for entry in entries],
        Tag.FILEUSERNAME: [entry.owner for entry in entries],
        Tag.FILEGROUPNAME: [entry.group for entry in entries],
        Tag.FILEVERIFYFLAGS: [_VERIFY_ALL] * count,
        # One device and an inode each: rpm finds hard links by them.
        Tag.FILEDEVICES: [1] * count,
        Tag.FILEINODES: list(range(1, count + 1)),
        Tag.FILERDEVS: [0] * count,
        Tag.FILELANGS: [""] * count,
        Tag.FILECOLORS: [0] * count,
    }


def _mode(entry: Entry) -> int:
    """Return permission and type bits; a symlink's permissions are those that Linux gives it."""
    return _TYPES[entry.kind] | (0o777 if entry.kind is Kind.SYMLINK else entry.mode)


def _digest(entry: Entry) -> str:
    """Return what `rpm -V` compares; only files have a digest."""
    return entry.sha256() if entry.kind is Kind.FILE else ""


def _size(entry: Entry) -> int:
    """Return how many bytes the payload holds of an entry."""
    return len(entry.target.encode()) if entry.kind is Kind.SYMLINK else entry.size


def _scripts(package: Package) -> dict[Tag, Value]:
    found: dict[Tag, Value] = {}
    for name, text in package.scripts.items():
        if name == TRIGGER:
            found |= _trigger(text, package.watched)
            continue
        script, interpreter = SCRIPT_TAGS[name]
        found |= {script: text.rstrip(), interpreter: rpmdeps.INTERPRETER}
    return found


def _trigger(text: str, prefix: str) -> dict[Tag, Value]:
    """Return a script that runs after files whose paths begin so were removed with their packages."""
    return {
        Tag.TRANSFILETRIGGERSCRIPTS: [text.rstrip()],
        Tag.TRANSFILETRIGGERSCRIPTPROG: [rpmdeps.INTERPRETER],
        Tag.TRANSFILETRIGGERNAME: [prefix],
        Tag.TRANSFILETRIGGERINDEX: [0],
        Tag.TRANSFILETRIGGERVERSION: [""],
        Tag.TRANSFILETRIGGERFLAGS: [rpmdeps.Sense.TRIGGERPOSTUN],
        Tag.TRANSFILETRIGGERPRIORITIES: [TRIGGER_PRIORITY],
    }


def _relations(package: Package) -> dict[Tag, Value]:
    """Return the dependencies: those given, and those that rpmbuild adds."""
    found = {kind: [rpmdeps.parse(relation, kind not in _NEVER_RICH) for relation in package.relations.get(kind, ())]
             for kind in RELATION_TAGS}
    version = package.full_version
    found["provides"].append(Dependency(package.name, version, Sense.EQUAL))
    found["requires"] += rpmdeps.interpreters(package.scripts)
    if any(entry.role is Role.CONFIG for entry in package.entries):
        found["provides"].append(rpmdeps.config(package.name, version))
        found["requires"].append(rpmdeps.config(package.name, version))
    found["requires"] += rpmdeps.features([dependency for kind in found.values() for dependency in kind])
    tags: dict[Tag, Value] = {}
    for kind, dependencies in found.items():
        dependencies = rpmdeps.sort(dependencies)
        names, versions, senses = RELATION_TAGS[kind]
        tags |= {
            names: [dependency.name for dependency in dependencies],
            versions: [dependency.version for dependency in dependencies],
            senses: [dependency.sense for dependency in dependencies],
        }
    return tags


def _changelog(changelog: Iterable[ChangelogEntry], maintainer: str) -> dict[Tag, Value]:
    """Return the changelog as %changelog is stored: the time of a day is its noon, UTC."""
    entries = list(changelog)
    return {
        Tag.CHANGELOGTIME: [calendar.timegm((*entry.date.timetuple()[:3], 12, 0, 0)) for entry in entries],
        Tag.CHANGELOGNAME: [f"{maintainer} - {entry.version}" for entry in entries],
        Tag.CHANGELOGTEXT: ["\n".join(f"- {change}" for change in entry.changes) for entry in entries],
    }


def _payload(payload: _Payload) -> dict[Tag, Value]:
    return {
        Tag.PAYLOADFORMAT: "cpio",
        Tag.PAYLOADCOMPRESSOR: "xz",
        Tag.PAYLOADFLAGS: str(xz.LEVEL),
        Tag.PAYLOADDIGESTALGO: _SHA256,
        Tag.PAYLOADDIGEST: [payload.sha256],
        Tag.PAYLOADDIGESTALT: [payload.archive_sha256],
    }


# --- the payload -------------------------------------------------------------------------------------------------


@frozen
class _Payload:
    """Size in bytes and digest of a payload, and of its archive before compression; as long as any other, of none."""

    size: int = 0
    sha256: str = "0" * 64
    archive_size: int = 0
    archive_sha256: str = "0" * 64


def _write_payload(stream: BinaryIO, entries: list[Entry], timestamp: int) -> _Payload:
    payload = Measured(stream, "sha256")
    compressed = xz.Writer(payload)
    measured = Measured(compressed, "sha256")
    archive = cpio.Writer(measured, timestamp)
    for entry in entries:
        with io.BytesIO(entry.target.encode()) if entry.kind is Kind.SYMLINK else entry.open() as content:
            archive.add(f".{entry.path}", _mode(entry), _size(entry), content)
    archive.close()
    compressed.close()
    return _Payload(payload.size, payload.hexdigest("sha256"), measured.size, measured.hexdigest("sha256"))


# --- what stands before the header -------------------------------------------------------------------------------


# The lead, LEAD bytes that only file(1) still reads (rpm's docs/manual/format_lead.md):
#
#   ed ab ee db  03 00  00 00  00 ff    magic, format 3.0, binary package, "noarch" as file(1) has it
#   6f 6e 64 65 6d 61 6e 64 2d 78 ...   NAME-VERSION-RELEASE, cut to 65 bytes, NULs up to 66
#   00 01  00 05  00 ... 00             Linux, signature as a header structure, 16 reserved bytes
def _lead(package: Package) -> bytes:
    name = _name_version_release(package).encode("ascii")[:65]
    return struct.pack(">4sBBhh66shh16x", MAGIC, 3, 0, 0, 255, name, 1, 5)


def _front(package: Package, values: Mapping[Tag, Value], payload: _Payload, content: Iterable[bytes]) -> bytes:
    """Return lead, signature header and header of a payload, whose compressed content is read for its MD5.

    The signature header is padded to the multiple of eight at which the header starts.
    """
    header = rpmheader.pack({**values, **_payload(payload)})
    md5 = hashlib.md5(header, usedforsecurity=False)
    for block in content:
        md5.update(block)
    signed: dict[SignatureTag, Value] = {
        SignatureTag.SHA1: hashlib.sha1(header, usedforsecurity=False).hexdigest(),
        SignatureTag.SHA256: hashlib.sha256(header).hexdigest(),
        SignatureTag.SIZE: len(header) + payload.size,
        SignatureTag.MD5: md5.digest(),
        SignatureTag.PAYLOADSIZE: payload.archive_size,
        SignatureTag.RESERVEDSPACE: bytes(_RESERVED_SPACE),
    }
    signature = rpmheader.pack(signed)
    return _lead(package) + signature + bytes(-len(signature) % 8) + header
