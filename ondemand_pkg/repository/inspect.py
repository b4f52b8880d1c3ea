"""What a package file says of itself, and whether it may go into a repository.

Knows the names that files of both formats must have and what of a file a signature does not change; hides the formats.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import ar, read_deb, read_rpm, xz
from ondemand_pkg.formats.rpmheader import Tag
from ondemand_pkg.package import Entry, Package

DECLARATION = "declaration.toml"  # below /usr/share/doc/PACKAGE
_DEB_NAME, _DEB_VERSION = re.compile(r"[a-z0-9][a-z0-9+.-]+"), re.compile(r"(?:[0-9]+:)?[0-9][A-Za-z0-9.+~-]*")
_RPM_NAME, _RPM_VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*"), re.compile(r"[A-Za-z0-9._+~^]+")
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9_-]*")
_COMPRESSED = {"": "", ".xz": "xz", ".gz": "gzip"}


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


def inspect(path: Path, data: bytes) -> Facts:
    """Return what a package says of itself; raises OndemandError for one that may not go into a repository."""
    try:
        if data.startswith(b"!<arch>\n"):
            facts = _deb(data)
        elif data.startswith(b"\xed\xab\xee\xdb"):
            facts = _rpm(data)
        else:
            raise ValueError("it is neither a .deb nor an .rpm")
    except ValueError as error:
        raise OndemandError(f"{path}: not published: {error}; build it again") from None
    if path.name != facts.filename:
        raise OndemandError(f"{path}: not published: by its own fields its name is {facts.filename}; "
                            "rename it, or build it again")
    return facts


def _deb(data: bytes) -> Facts:
    fields = dict(read_deb.control(data))
    name, version, architecture = fields["Package"], fields["Version"], fields.get("Architecture", "")
    _check(name, _DEB_NAME, "name")
    _check(version, _DEB_VERSION, "version")
    _check(architecture, _ARCHITECTURE, "architecture")
    told = _told(name, lambda: read_deb.read(data))
    if told == _NOTHING:
        _check_data({member: content for member, _, content in ar.unpack(data)})
    image, ports, declaration = told
    return Facts("deb", name, version, architecture, f"{name}_{version.rpartition(':')[2]}_{architecture}.deb",
                 hashlib.sha256(data).hexdigest(), fields.get("Description", "").split("\n")[0], fields,
                 image, ports, declaration)


def _check_data(members: Mapping[str, bytes]) -> None:
    for ending, kind in _COMPRESSED.items():
        if f"data.tar{ending}" in members:
            xz.decompress(members[f"data.tar{ending}"], kind)  # complete and undamaged, or ValueError
            return
    raise ValueError("it has no member data.tar, data.tar.gz or data.tar.xz")


def _rpm(data: bytes) -> Facts:
    header = read_rpm.header(data)
    name, version, release = (header.text(tag) for tag in (Tag.NAME, Tag.VERSION, Tag.RELEASE))
    architecture = header.text(Tag.ARCH)
    if not header.text(Tag.SOURCERPM):
        raise ValueError("it is a source package; only binary packages are published")
    _check(name, _RPM_NAME, "name")
    _check(version, _RPM_VERSION, "version")
    _check(release, _RPM_VERSION, "release")
    _check(architecture, _ARCHITECTURE, "architecture")
    digests = header.list(Tag.PAYLOADDIGEST)
    if digests and digests[0] != hashlib.sha256(data[header.end:]).hexdigest():
        raise ValueError("its payload is damaged: it has another digest than the header says")
    epochs = header.values.get(Tag.EPOCH.number)
    epoch = f"{epochs[0]}:" if isinstance(epochs, list) and epochs else ""
    image, ports, declaration = _told(name, lambda: read_rpm.read(data))
    return Facts("rpm", name, f"{epoch}{version}-{release}", architecture, f"{name}-{version}-{release}.{architecture}.rpm",
                 hashlib.sha256(data[header.start:]).hexdigest(), header.text(Tag.SUMMARY), {}, image, ports, declaration)


def _check(value: str, allowed: re.Pattern[str], what: str) -> None:
    if not allowed.fullmatch(value):
        raise ValueError(f"its {what} {value!r} is none of the format")


_Told = tuple[str, list[str], str]
_NOTHING: _Told = ("", [], "")


def _told(name: str, read: Callable[[], Package]) -> _Told:
    """Return image, ports and declaration of a package of this project, nothing of any other."""
    if not name.startswith("ondemand-"):
        return _NOTHING
    try:
        package = read()
    except ValueError:
        return _NOTHING  # it is of another builder and fit for the repository all the same
    entries = {entry.path: entry for entry in package.entries}
    container = entries.get(f"/usr/libexec/{package.name}/container.json")
    return _image(container), _ports(package), _text(entries.get(f"/usr/share/doc/{package.name}/{DECLARATION}"))


def _text(entry: Entry | None) -> str:
    return entry.data.decode("utf-8", "replace") if entry else ""


def _image(container: Entry | None) -> str:
    try:
        found = json.loads(container.data) if container else {}
    except ValueError:
        return ""
    image = found.get("image") if isinstance(found, dict) else ""
    return image if isinstance(image, str) else ""


def _ports(package: Package) -> list[str]:
    sockets = [entry for entry in package.entries if entry.path.endswith(".socket")]
    return [line.partition("=")[2].strip() for entry in sockets for line in _text(entry).split("\n")
            if line.startswith("ListenStream=")]
