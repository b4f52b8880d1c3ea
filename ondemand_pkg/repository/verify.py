"""Whether everything in a repository is as its indexes say.

Knows the way from the signatures down to the bytes of each package, as a client goes it; hides the formats.  Nothing is
taken from the cache or believed of the state.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import read_rpm, rpmsign
from ondemand_pkg.formats.blocks import sha256
from ondemand_pkg.repository import dnf, gpg
from ondemand_pkg.repository.generations import LINKS, Directory
from ondemand_pkg.repository.inspect import inspect
from ondemand_pkg.repository.state import Item, State

_COMMON, _REPO = "{http://linux.duke.edu/metadata/common}", "{http://linux.duke.edu/metadata/repo}"
_CLEARED = re.compile(rb"-----BEGIN PGP SIGNED MESSAGE-----\n(?:[^\n]+\n)*\n(.*)\n-----BEGIN PGP SIGNATURE-----\n", re.DOTALL)


def verify(root: Path) -> tuple[list[str], int]:
    """Return everything that is wrong with a repository, and how many package files it has; raises OndemandError for none."""
    directory = Directory(root)
    with directory.faults():
        state = directory.existing()
        checker = _Checker(root, state)
        return list(checker.faults()), len(state.items)


class _Checker:
    def __init__(self, root: Path, state: State) -> None:
        self.root = root
        self.state = state
        self.keyring = b""
        self.wanted = set(state.keys)

    def faults(self) -> Iterator[str]:
        for name in LINKS:
            if not (self.root / name).exists():
                yield f"{self.root / name}: missing; publish again"
        keyring = self.root / "ondemand-archive-keyring.gpg"
        if not keyring.exists():
            return
        self.keyring = keyring.read_bytes()
        for suite in sorted(self.state.suites):
            yield from self._apt(suite)
            yield from self._dnf(suite)
        yield from self._pool()

    def _read(self, path: Path) -> bytes | str:
        try:
            return path.read_bytes()
        except OSError as error:
            return f"{path}: {error.strerror}"

    def _signed(self, path: Path, data: bytes, signature: bytes) -> Iterator[str]:
        missing = self.wanted - gpg.good_signers(data, signature, self.keyring)
        if missing:
            yield f"{path}: no good signature by {', '.join(sorted(missing))}"

    # --- apt -----------------------------------------------------------------------------------------------------

    def _apt(self, suite: str) -> Iterator[str]:
        top = self.root / "dists" / suite
        inline, release, beside = (self._read(top / name) for name in ("InRelease", "Release", "Release.gpg"))
        for data in (inline, release, beside):
            if isinstance(data, str):
                yield data
        if isinstance(inline, str) or isinstance(release, str) or isinstance(beside, str):
            return
        yield from self._signed(top / "InRelease", inline, b"")
        yield from self._signed(top / "Release.gpg", release, beside)
        cleared = _CLEARED.match(inline)
        if not cleared or cleared[1].rstrip(b"\n") != release.rstrip(b"\n"):
            yield f"{top / 'InRelease'}: it says another thing than Release"
        for line in release.decode("utf-8", "replace").partition("SHA256:\n")[2].splitlines():
            try:
                digest, size, name = line.split()
                yield from self._index(top / name, digest, int(size))
            except ValueError:
                yield f"{top / 'Release'}: damaged: {line!r} is no digest, size and name"
        expected = {item.path: item for item in self.state.shown(suite, "deb")}
        seen = dict[str, Item]()
        for place in sorted(top.glob("main/binary-*")):
            yield from self._packages(place, expected, seen)
        for path in sorted(expected.keys() - seen.keys()):
            yield f"{top}: {path} stands in no index"

    def _index(self, path: Path, digest: str, size: int) -> Iterator[str]:
        data = self._read(path)
        if isinstance(data, str):
            yield data
        elif len(data) != size or hashlib.sha256(data).hexdigest() != digest:
            yield f"{path}: it has not the digest and size that its index says"

    def _packages(self, place: Path, expected: Mapping[str, Item], seen: dict[str, Item]) -> Iterator[str]:
        texts = {}
        for name, unpack in (("Packages", bytes), ("Packages.gz", gzip.decompress), ("Packages.xz", lzma.decompress)):
            data = self._read(place / name)
            if isinstance(data, str):
                yield data
                continue
            try:
                texts[name] = unpack(data)
            except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
                yield f"{place / name}: damaged: {error}"
        if len(set(texts.values())) > 1:
            yield f"{place}: the forms of Packages differ"
        for paragraph in texts.get("Packages", b"").decode("utf-8", "replace").split("\n\n"):
            fields = dict(line.split(": ", 1) for line in paragraph.split("\n") if ": " in line and not line.startswith(" "))
            if not fields:
                continue
            path = fields.get("Filename", "")
            item = expected.get(path)
            if item is None:
                yield f"{place / 'Packages'}: {path} is not of this suite"
                continue
            seen[path] = item
            if (fields.get("SHA256"), fields.get("Size")) != (item.sha256, str(item.size)):
                yield f"{place / 'Packages'}: {path}: another digest or size than was published"

    # --- dnf -----------------------------------------------------------------------------------------------------

    def _dnf(self, suite: str) -> Iterator[str]:
        suite_tree = f"rpm/{suite}"
        trees = [*(tree for tree in self.state.trees if tree.startswith(f"{suite_tree}@")), suite_tree]
        for tree in trees:
            yield from self._repodata(self.root / tree, suite)
        if self.state.url:
            path = self.root / suite_tree / "mirrorlist"
            told = self._read(path)
            if isinstance(told, str):
                yield told
            elif told != dnf.mirrors([f"{self.state.url}{tree}/" for tree in trees]).encode():
                yield f"{path}: it does not name this generation; publish again"

    def _repodata(self, top: Path, suite: str) -> Iterator[str]:
        repomd, signature = self._read(top / "repodata/repomd.xml"), self._read(top / "repodata/repomd.xml.asc")
        for data in (repomd, signature):
            if isinstance(data, str):
                yield data
        if isinstance(repomd, str) or isinstance(signature, str):
            return
        yield from self._signed(top / "repodata/repomd.xml.asc", repomd, signature)
        try:
            for record in ElementTree.fromstring(repomd).findall(f"{_REPO}data"):
                location = record.find(f"{_REPO}location")
                path = top / (location.get("href", "") if location is not None else "")
                digest, size = (record.findtext(f"{_REPO}{name}", "") for name in ("checksum", "size"))
                yield from self._index(path, digest, int(size))
                if record.get("type") == "primary":
                    yield from self._primary(path, suite)
        except (ElementTree.ParseError, ValueError) as error:
            yield f"{top / 'repodata/repomd.xml'}: damaged: {error}"

    def _primary(self, path: Path, suite: str) -> Iterator[str]:
        expected = {item.path: item for item in self.state.shown(suite, "rpm")}
        try:
            packages = ElementTree.fromstring(gzip.decompress(path.read_bytes())).findall(f"{_COMMON}package")
        except (OSError, EOFError, zlib.error, ElementTree.ParseError) as error:
            yield f"{path}: damaged: {error}"
            return
        for package in packages:
            location, size = package.find(f"{_COMMON}location"), package.find(f"{_COMMON}size")
            href = location.get("href", "") if location is not None else ""
            item = expected.pop(href, None)
            told = package.findtext(f"{_COMMON}checksum"), size.get("package") if size is not None else ""
            if item is None:
                yield f"{path}: {href} is not of this suite"
            elif told != (item.sha256, str(item.size)):
                yield f"{path}: {href}: another digest or size than was published"
        for name in sorted(expected):
            yield f"{path}: {name} stands not in it"

    # --- the packages --------------------------------------------------------------------------------------------

    def _pool(self) -> Iterator[str]:
        for item in self.state.items.values():
            path = self.root / item.path
            try:
                with path.open("rb") as stream:
                    yield from self._package(path, item, stream)
            except OSError as error:
                yield f"{path}: {error.strerror}"
            except (OndemandError, ValueError) as error:
                yield str(error)
        known = set(self.state.items) | set(self.state.removed)
        for file in sorted(self.root.glob("pool/*/*/*")):
            if str(file.relative_to(self.root)) not in known:
                yield f"{file}: no index names it; delete it"

    def _package(self, path: Path, item: Item, stream: BinaryIO) -> Iterator[str]:
        if sha256(stream) != item.sha256:
            yield f"{path}: it has another digest than was published"
            return
        stream.seek(0)
        if inspect(path, stream).identity != item.identity:
            yield f"{path}: it holds something else than was published"
        if item.format == "rpm":
            stream.seek(0)
            front = read_rpm.front(stream)
            if not gpg.good_signers(rpmsign.signed_part(front), rpmsign.signature(front), self.keyring, or_expired=True):
                yield (f"{path}: no good signature by a key of the repository; publish it with another release and remove "
                       "this one")
