"""What a package file says of itself, and whether it may go into a repository.

Knows the names that files of both formats must have and what of a file a signature does not change; hides the formats.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, BinaryIO

from ondemand_pkg import layout
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import DEB, FORMATS, LONGEST_MAGIC, RPM, Format, deb, of_content, read_deb, read_rpm, rpm
from ondemand_pkg.formats.blocks import blocks, sha256
from ondemand_pkg.formats.rpmheader import Tag
from ondemand_pkg.frozen import frozen

_DEB_VERSION = re.compile(r"(?:[0-9]{1,10}:)?[0-9][A-Za-z0-9.+~-]*")
_LARGEST_EPOCH = 2**31 - 1  # dpkg's
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
# A host writes a package's file under its name, an epoch among it, and dpkg names files after the package: a directory
# entry has 255 bytes.
_LONGEST_NAME, _LONGEST_FILE_NAME = 200, 230


@frozen
class Facts:
    """A package file: ``identity`` is the SHA-256 of everything in it that no signature changes.

    ``fields`` is the control file of a .deb, ``image``, ``ports`` and ``declaration`` are what a package of this project
    tells of its container, empty in any other.  ``members`` are those of a stack, with their versions.
    """

    format: Format
    name: str
    version: str
    architecture: str
    filename: str
    identity: str
    summary: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    image: str = ""
    ports: list[str] = field(default_factory=list)
    declaration: str = ""
    members: dict[str, str] = field(default_factory=dict)

    @property
    def pool(self) -> str:
        """Where the file lies, below the repository."""
        return f"pool/{self.name[0].lower()}/{self.name}/{self.filename}"


def inspect(path: Path, stream: BinaryIO) -> Facts:
    """Return what a package says of itself; raises OndemandError for one that may not go into a repository.

    ``path`` is what it is called, ``stream`` its content, which is read in blocks.
    """
    found = of_content(stream.read(LONGEST_MAGIC))
    stream.seek(0)
    try:
        if found is None:
            raise ValueError("it is neither a .deb nor an .rpm")
        facts = _READERS[found](stream)
        if len(facts.name) > _LONGEST_NAME or len(facts.filename) > _LONGEST_FILE_NAME:
            raise ValueError(f"its name or version is too long for a file name: at most {_LONGEST_NAME} characters of a name, "
                             f"{_LONGEST_FILE_NAME} with version and architecture")
    except ValueError as error:
        raise OndemandError(f"{path}: not published: {error}; build it again") from None
    if path.name != facts.filename:
        raise OndemandError(f"{path}: not published: its file name does not match its contents; "
                            f"rename it to {facts.filename}, or build it again")
    return facts


def _deb(stream: BinaryIO) -> Facts:
    identity = sha256(stream)
    fields = dict(read_deb.control(stream))
    name, version, architecture = fields["Package"], fields["Version"], fields.get("Architecture", "")
    _check(name, deb.NAME, "name")
    _check(version, _DEB_VERSION, "version")
    if version.partition(":")[1] and int(version.partition(":")[0]) > _LARGEST_EPOCH:
        raise ValueError(f"its epoch is above {_LARGEST_EPOCH}")
    _check(architecture, _ARCHITECTURE, "architecture")
    told = _NOTHING
    if name.startswith(layout.PREFIX):
        told = _told(name, read_deb.files(stream))
    else:
        read_deb.check(stream)
    return Facts(DEB, name, version, architecture, DEB.file_name(name, version, architecture), identity,
                 fields.get("Description", "").split("\n")[0], fields, *told)


def _rpm(stream: BinaryIO) -> Facts:
    front = read_rpm.front(stream)
    header = read_rpm.header(front)
    name, version, release = (header.text(tag) for tag in (Tag.NAME, Tag.VERSION, Tag.RELEASE))
    architecture = header.text(Tag.ARCH)
    if not header.text(Tag.SOURCERPM):
        raise ValueError("it is a source package; only binary packages are published")
    _check(name, rpm.NAME, "name")
    _check(version, rpm.VERSION, "version")
    _check(release, rpm.VERSION, "release")
    _check(architecture, _ARCHITECTURE, "architecture")
    if broken := header.broken_text():
        raise ValueError(f"its {broken} contains a control character")
    identity, payload = hashlib.sha256(front[header.start:]), hashlib.sha256()
    for block in blocks(stream):
        identity.update(block)
        payload.update(block)
    digests = header.list(Tag.PAYLOADDIGEST)
    if digests and digests[0] != payload.hexdigest():
        raise ValueError("its payload is damaged: its digest does not match the header")
    told = _NOTHING
    if name.startswith(layout.PREFIX):
        stream.seek(header.end)
        with contextlib.suppress(ValueError):  # packed by another builder, and fit for the repository all the same
            told = _told(name, read_rpm.files(header, stream))
    epochs = header.values.get(Tag.EPOCH.number)
    full_version = (f"{epochs[0]}:" if isinstance(epochs, list) and epochs else "") + f"{version}-{release}"
    return Facts(RPM, name, full_version, architecture, RPM.file_name(name, full_version, architecture), identity.hexdigest(),
                 header.text(Tag.SUMMARY), {}, *told)


_READERS: Mapping[Format, Callable[[BinaryIO], Facts]] = {DEB: _deb, RPM: _rpm}


def built_by(path: Path) -> str:
    """Return the release of ondemand-pkg that built a package of the pool, empty where it does not say.

    Only what stands before its files is read.  Raises OndemandError for a package that can't be read.
    """
    try:
        with path.open("rb") as stream:
            return FORMATS[path.suffix[1:]].built_by(stream)
    except (OSError, ValueError) as error:
        raise OndemandError(f"{path}: can't be read: {error}; 'ondemand-pkg repo verify' shows what else is damaged") from None


def _check(value: str, allowed: re.Pattern[str], what: str) -> None:
    if not allowed.fullmatch(value):
        raise ValueError(f"its {what} {value[:80]!r} is not valid in this format")


_Told = tuple[str, list[str], str, dict[str, str]]
_NOTHING: _Told = ("", [], "", {})


def _told(name: str, files: Iterable[tuple[str, bytes]]) -> _Told:
    """Return image, ports, declaration and members of a package of this project, out of its files."""
    container, declaration, stack = layout.specification(name), layout.declaration(name), layout.stack(name)
    texts = {path: data.decode("utf-8", "replace") for path, data in files
             if path in (container, declaration, stack) or path.endswith(".socket")}
    ports = [address for path, text in texts.items() if path.endswith(".socket") for address in layout.listen_addresses(text)]
    image, members = _member(texts.get(container, ""), "image"), _member(texts.get(stack, ""), "members")
    return (image if isinstance(image, str) else "", ports, texts.get(declaration, ""),
            {name: str(version) for name, version in members.items()} if isinstance(members, dict) else {})


def _member(text: str, name: str) -> Any:
    """Return a member of a JSON object, None where the text is no such object."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found.get(name) if isinstance(found, dict) else None
