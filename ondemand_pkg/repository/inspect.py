"""What a package file says of itself, and whether it may go into a repository.

Knows the names that files of both formats must have and what of a file a signature does not change; hides the formats.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import read_deb, read_rpm
from ondemand_pkg.formats.blocks import blocks, sha256
from ondemand_pkg.formats.rpmheader import Tag

DECLARATION = "declaration.toml"  # below /usr/share/doc/PACKAGE
_DEB_NAME, _DEB_VERSION = re.compile(r"[a-z0-9][a-z0-9+.-]+"), re.compile(r"(?:[0-9]+:)?[0-9][A-Za-z0-9.+~-]*")
_RPM_NAME, _RPM_VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*"), re.compile(r"[A-Za-z0-9._+~^]+")
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9_-]*")
_OURS = "ondemand-"


@dataclass(frozen=True)
class Facts:
    """A package file: ``identity`` is the SHA-256 of everything in it that no signature changes.

    ``fields`` is the control file of a .deb, ``image``, ``ports`` and ``declaration`` are what a package of this project
    tells of its container, empty in any other.
    """

    format: str
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

    @property
    def pool(self) -> str:
        """Where the file lies, below the repository."""
        return f"pool/{self.name[0].lower()}/{self.name}/{self.filename}"

    def text(self) -> str:
        """Return the facts as JSON."""
        return json.dumps(asdict(self))


def inspect(path: Path, stream: BinaryIO) -> Facts:
    """Return what a package says of itself; raises OndemandError for one that may not go into a repository.

    ``path`` is what it is called, ``stream`` its content, which is read in blocks.
    """
    start = stream.read(8)
    stream.seek(0)
    try:
        if start == b"!<arch>\n":
            facts = _deb(stream)
        elif start.startswith(b"\xed\xab\xee\xdb"):
            facts = _rpm(stream)
        else:
            raise ValueError("it is neither a .deb nor an .rpm")
    except ValueError as error:
        raise OndemandError(f"{path}: not published: {error}; build it again") from None
    if path.name != facts.filename:
        raise OndemandError(f"{path}: not published: by its own fields its name is {facts.filename}; "
                            "rename it, or build it again")
    return facts


def _deb(stream: BinaryIO) -> Facts:
    identity = sha256(stream)
    fields = dict(read_deb.control(stream))
    name, version, architecture = fields["Package"], fields["Version"], fields.get("Architecture", "")
    _check(name, _DEB_NAME, "name")
    _check(version, _DEB_VERSION, "version")
    _check(architecture, _ARCHITECTURE, "architecture")
    told = _NOTHING
    if name.startswith(_OURS):
        told = _told(name, read_deb.files(stream))
    else:
        read_deb.check(stream)
    return Facts("deb", name, version, architecture, f"{name}_{version.rpartition(':')[2]}_{architecture}.deb",
                 identity, fields.get("Description", "").split("\n")[0], fields, *told)


def _rpm(stream: BinaryIO) -> Facts:
    front = read_rpm.front(stream)
    header = read_rpm.header(front)
    name, version, release = (header.text(tag) for tag in (Tag.NAME, Tag.VERSION, Tag.RELEASE))
    architecture = header.text(Tag.ARCH)
    if not header.text(Tag.SOURCERPM):
        raise ValueError("it is a source package; only binary packages are published")
    _check(name, _RPM_NAME, "name")
    _check(version, _RPM_VERSION, "version")
    _check(release, _RPM_VERSION, "release")
    _check(architecture, _ARCHITECTURE, "architecture")
    identity, payload = hashlib.sha256(front[header.start:]), hashlib.sha256()
    for block in blocks(stream):
        identity.update(block)
        payload.update(block)
    digests = header.list(Tag.PAYLOADDIGEST)
    if digests and digests[0] != payload.hexdigest():
        raise ValueError("its payload is damaged: it has another digest than the header says")
    told = _NOTHING
    if name.startswith(_OURS):
        stream.seek(header.end)
        with contextlib.suppress(ValueError):  # packed by another builder, and fit for the repository all the same
            told = _told(name, read_rpm.files(header, stream))
    epochs = header.values.get(Tag.EPOCH.number)
    epoch = f"{epochs[0]}:" if isinstance(epochs, list) and epochs else ""
    return Facts("rpm", name, f"{epoch}{version}-{release}", architecture, f"{name}-{version}-{release}.{architecture}.rpm",
                 identity.hexdigest(), header.text(Tag.SUMMARY), {}, *told)


def _check(value: str, allowed: re.Pattern[str], what: str) -> None:
    if not allowed.fullmatch(value):
        raise ValueError(f"its {what} {value!r} is none of the format")


_Told = tuple[str, list[str], str]
_NOTHING: _Told = ("", [], "")


def _told(name: str, files: Iterable[tuple[str, bytes]]) -> _Told:
    """Return image, ports and declaration of a package of this project, out of its files."""
    container, declaration = f"/usr/libexec/{name}/container.json", f"/usr/share/doc/{name}/{DECLARATION}"
    texts = {path: data.decode("utf-8", "replace") for path, data in files
             if path in (container, declaration) or path.endswith(".socket")}
    ports = [line.partition("=")[2].strip() for path, text in texts.items() if path.endswith(".socket")
             for line in text.split("\n") if line.startswith("ListenStream=")]
    return _image(texts.get(container, "")), ports, texts.get(declaration, "")


def _image(container: str) -> str:
    try:
        found = json.loads(container)
    except ValueError:
        return ""
    image = found.get("image") if isinstance(found, dict) else ""
    return image if isinstance(image, str) else ""
