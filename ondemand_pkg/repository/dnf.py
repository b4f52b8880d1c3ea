"""A suite as dnf reads it.

Knows the files of rpm/SUITE/repodata, how they refer to each other and how a client gets all of them from one generation;
hides createrepo_c, which knows what they say of one package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from ondemand_pkg.errors import OndemandError
from ondemand_pkg.repository import gpg
from ondemand_pkg.repository.directory import link
from ondemand_pkg.repository.pieces import Piece, compress, cut
from ondemand_pkg.repository.state import Item

Described = tuple[bytes, bytes, bytes]
_XML = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_LINUX = "http://linux.duke.edu/metadata"
# The three lists in the order of ``describe``: root element and its name space.
_LISTS = {"primary": ("metadata", f'xmlns="{_LINUX}/common" xmlns:rpm="{_LINUX}/rpm"'),
          "filelists": ("filelists", f'xmlns="{_LINUX}/filelists"'),
          "other": ("otherdata", f'xmlns="{_LINUX}/other"')}
_CHANGES = 10  # entries of a changelog, as createrepo_c takes unless told
_COMMON = f"{{{_LINUX}/common}}"
_POOL = "pool"


def describe(item: Item, file: Path) -> Described:
    """Return what the three lists say of a package; raises OndemandError where createrepo_c is missing or can't read it."""
    try:
        import createrepo_c
    except ImportError:
        raise OndemandError("the Python module createrepo_c is not installed; install python3-createrepo-c (Debian), "
                            "python3-createrepo_c (Fedora) or ondemand-pkg[publish] (pip)") from None
    try:
        package = createrepo_c.package_from_rpm(str(file), createrepo_c.SHA256, item.path, None, _CHANGES)
        package.time_file = item.added
        primary, filelists, other = (str(text).encode("utf-8", "surrogateescape") + b"\n"
                                     for text in createrepo_c.xml_dump(package))
        _check(item, primary, filelists, other)
    except (createrepo_c.Error, OSError, ValueError, ElementTree.ParseError) as error:
        raise OndemandError(f"{item.path}: createrepo_c can't read it: {error}") from None
    return primary, filelists, other


def _check(item: Item, primary: bytes, *others: bytes) -> None:
    """Raise ParseError for what is no XML, with which no host could read the suite, and ValueError for another package's."""
    found = _parsed("primary", primary)
    for kind, text in zip(("filelists", "other"), others, strict=True):
        _parsed(kind, text)
    told = [found.findtext(f"{_COMMON}{name}") for name in ("name", "arch")]
    location = found.find(f"{_COMMON}location")
    if told != [item.name, item.architecture] or location is None or location.get("href") != item.path:
        raise ValueError("it reads another name, architecture or path")


def _parsed(kind: str, text: bytes) -> ElementTree.Element:
    """Return the one element of a list."""
    root, space = _LISTS[kind]
    elements = list(ElementTree.fromstring(f"<{root} {space}>".encode() + text + f"</{root}>".encode()))
    if len(elements) != 1:
        raise ValueError("it reads more than one package")
    return elements[0]


def write(directory: Path, packages: Sequence[tuple[Item, Described]], known: Mapping[bytes, Piece], keys: Sequence[str],
          now: int) -> tuple[list[str], dict[bytes, Piece]]:
    """Write the repodata of a suite; return the lists, relative to the directory, and the pieces of the texts.

    Raises OndemandError.
    """
    (directory / "repodata").mkdir(parents=True)
    # A directory that holds everything it names: the pool under a name of its own.
    (directory / _POOL).symlink_to(f"../../../../../{_POOL}")
    names, records, pieces = [], list[str](), dict[bytes, Piece]()
    for index, (kind, (root, space)) in enumerate(_LISTS.items()):
        head = _XML + f'<{root} {space} packages="{len(packages)}">\n'.encode()
        text = compress([head, *cut((item.path, described[index]) for item, described in packages), f"</{root}>\n".encode()],
                        known, xz=False)
        pieces |= text.pieces
        digest = hashlib.sha256(text.gz).hexdigest()
        name = f"repodata/{digest}-{kind}.xml.gz"
        (directory / name).write_bytes(text.gz)
        names.append(name)
        records.append(f'  <data type="{kind}">\n    <checksum type="sha256">{digest}</checksum>\n'
                       f'    <open-checksum type="sha256">{hashlib.sha256(text.plain).hexdigest()}</open-checksum>\n'
                       f'    <location href="{name}"/>\n    <timestamp>{now}</timestamp>\n    <size>{len(text.gz)}</size>\n'
                       f'    <open-size>{len(text.plain)}</open-size>\n  </data>\n')
    repomd = _XML + (f'<repomd xmlns="{_LINUX}/repo" xmlns:rpm="{_LINUX}/rpm">\n  <revision>{now}</revision>\n'
                     + "".join(records) + "</repomd>\n").encode()
    # A block for each key, for dnf 5 reads the first one alone: that of the older key, which every client has.
    (directory / "repodata/repomd.xml").write_bytes(repomd)
    (directory / "repodata/repomd.xml.asc").write_bytes(b"".join(gpg.detached(repomd, [key]) for key in keys))
    return names, pieces


def snapshot(directory: Path, target: Path) -> list[str]:
    """Give the files of a suite another directory, which no later change touches; return them, relative to it."""
    names = [f"repodata/{path.name}" for path in sorted((directory / "repodata").iterdir())]
    for name in [*names, _POOL]:
        link(directory / name, target / name)
    return [*names, _POOL]


def mirrors(urls: Sequence[str]) -> str:
    """Return a list of mirrors (dnf.conf(5), mirrorlist), the first to be asked first.

    A client asks for repomd.xml and its signature one after the other, and a change may come between.  The first mirror is
    the snapshot, so both come from there; the suite itself is the second, for packages once the snapshot is gone.
    """
    return "".join(f"{url}\n" for url in urls)
