"""Whether everything in a repository is as its indexes say.

Knows the way from the signatures down to the bytes of each package, as a client goes it; hides the formats.  Nothing is
taken from the cache or believed of the state.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import DEB, RPM, deb822, read_rpm, rpmsign, xz
from ondemand_pkg.formats.blocks import Part, blocks, sha256
from ondemand_pkg.repository import dnf, gpg
from ondemand_pkg.repository.directory import BINARY_KEYS, LINKS, Directory, now
from ondemand_pkg.repository.inspect import inspect
from ondemand_pkg.repository.state import Item, State

_LARGEST_TOP = 64 * 2**20  # bytes of what is read before its signature is known
_SIZE = re.compile("[0-9]{1,10}")
# An index, which lies below what names it: no name leads out of the directory.
_LISTED = re.compile(r" ?(?P<digest>[0-9a-f]{64}) (?P<size>[0-9]{1,10}) "
                     r"(?P<name>(?:main/binary-[a-z0-9_-]+/|repodata/)[A-Za-z0-9][A-Za-z0-9._-]*)")
_COMMON, _REPO = "{http://linux.duke.edu/metadata/common}", "{http://linux.duke.edu/metadata/repo}"
_CLEARED = re.compile(rb"-----BEGIN PGP SIGNED MESSAGE-----\n(?:[^\n]+\n)*\n(.*)\n-----BEGIN PGP SIGNATURE-----\n", re.DOTALL)


def _opened(path: Path) -> BinaryIO:
    """Open a regular file; raises OSError for anything else, which might never end or never begin."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


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
        keyring = self.root / BINARY_KEYS
        if not keyring.exists():
            return
        keys = self._read(keyring)
        if isinstance(keys, str):
            yield keys
            return
        self.keyring = keys
        for suite in sorted(self.state.suites):
            yield from self._apt(suite)
            yield from self._dnf(suite)
        yield from self._pool()

    def _read(self, path: Path, largest: int = _LARGEST_TOP) -> bytes | str:
        """Return the content of a file, or what is wrong with it."""
        try:
            with _opened(path) as stream:
                data = stream.read(largest + 1)
        except OSError as error:
            return f"{path}: {error.strerror}"
        return data if len(data) <= largest else f"{path}: larger than {largest} bytes"

    def _signed(self, path: Path, data: bytes, signature: bytes) -> str:
        """Return what is wrong with a signature, nothing where it is good."""
        missing = self.wanted - gpg.good_signers(data, signature, self.keyring)
        return f"{path}: no valid signature by {', '.join(sorted(missing))}" if missing else ""

    # --- apt -----------------------------------------------------------------------------------------------------

    def _apt(self, suite: str) -> Iterator[str]:
        top = self.root / "dists" / suite
        inline, release, beside = (self._read(top / name) for name in ("InRelease", "Release", "Release.gpg"))
        for data in (inline, release, beside):
            if isinstance(data, str):
                yield data
        if isinstance(inline, str) or isinstance(release, str) or isinstance(beside, str):
            return
        faults = [self._signed(top / "InRelease", inline, b""), self._signed(top / "Release.gpg", release, beside)]
        cleared = _CLEARED.match(inline)
        if not cleared or cleared[1].rstrip(b"\n") != release.rstrip(b"\n"):
            faults.append(f"{top / 'InRelease'}: its contents do not match Release")
        yield from filter(None, faults)
        if any(faults):
            return  # whoever wrote it may have named anything
        yield from self._expiry(top / "Release", release)
        sound = dict[Path, int]()
        for line in release.decode("utf-8", "replace").partition("SHA256:\n")[2].splitlines():
            found = _LISTED.fullmatch(line)
            if not found:
                yield f"{top / 'Release'}: damaged: {line[:200]!r} is not a line of digest, size and name"
                continue
            fault = self._index(top / found["name"], found["digest"], int(found["size"]))
            if fault:
                yield fault
            else:
                sound[top / found["name"]] = int(found["size"])
        expected = {item.path: item for item in self.state.shown(suite, DEB)}
        seen = dict[str, Item]()
        for place in sorted(top.glob("main/binary-*")):
            yield from self._packages(place, sound, expected, seen)
        for path in sorted(expected.keys() - seen.keys()):
            yield f"{top}: no index lists {path}"

    def _expiry(self, path: Path, release: bytes) -> Iterator[str]:
        until = re.search(rb"^Valid-Until: (.{1,60})$", release, re.MULTILINE)
        try:
            if until and parsedate_to_datetime(until[1].decode()).timestamp() < now():
                yield f"{path}: expired since {until[1].decode()}: hosts refuse it; 'ondemand-pkg repo refresh' renews it"
        except (ValueError, OverflowError):
            yield f"{path}: damaged: Valid-Until is not a date"

    def _index(self, path: Path, digest: str, size: int) -> str:
        """Return what is wrong with a file that an index names, nothing where it is as told; no more of it is read than that."""
        try:
            with _opened(path) as stream:
                found = sha256(Part(stream, size, f"{path}"))
                is_longer = bool(stream.read(1))
        except OSError as error:
            return f"{path}: {error.strerror}"
        except ValueError:
            found, is_longer = "", True
        return f"{path}: its digest or size does not match the index" if is_longer or found != digest else ""

    def _packages(self, place: Path, sound: Mapping[Path, int], expected: Mapping[str, Item],
                  seen: dict[str, Item]) -> Iterator[str]:
        """Look into the forms of an index that are as the signed list says."""
        plain = self._read(place / "Packages", sound[place / "Packages"]) if place / "Packages" in sound else ""
        if isinstance(plain, str):
            yield from filter(None, [plain])
            return
        for name, kind in (("Packages.gz", "gzip"), ("Packages.xz", "xz")):
            if place / name not in sound:
                continue
            try:
                with _opened(place / name) as stream:
                    unpacked = sha256(xz.Reader(stream, kind, len(plain)))
            except (OSError, ValueError) as error:
                yield f"{place / name}: damaged: {error}"
                continue
            if unpacked != hashlib.sha256(plain).hexdigest():
                yield f"{place / name}: it does not unpack to Packages"
        for paragraph in filter(None, plain.decode("utf-8", "replace").rstrip("\n").split("\n\n")):
            try:
                fields = deb822.paragraph(paragraph)
            except ValueError as error:
                yield f"{place / 'Packages'}: damaged: {error}"
                continue
            path = fields.get("Filename", "")
            item = expected.get(path)
            if item is None:
                yield f"{place / 'Packages'}: {path} is not in this suite"
                continue
            seen[path] = item
            if (fields.get("Package"), fields.get("Version"), fields.get("Architecture")) != (
                    item.name, item.version, item.architecture):
                yield f"{place / 'Packages'}: {path}: name, version or architecture is not that of the published file"
            if (fields.get("SHA256"), fields.get("Size")) != (item.sha256, str(item.size)):
                yield f"{place / 'Packages'}: {path}: the digest or size is not that of the published file"

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
                yield f"{path}: it does not point to the current indexes; publish again"

    def _repodata(self, top: Path, suite: str) -> Iterator[str]:
        repomd, signature = self._read(top / "repodata/repomd.xml"), self._read(top / "repodata/repomd.xml.asc")
        for data in (repomd, signature):
            if isinstance(data, str):
                yield data
        if isinstance(repomd, str) or isinstance(signature, str):
            return
        if fault := self._signed(top / "repodata/repomd.xml.asc", repomd, signature):
            yield fault
            return
        try:
            for record in ElementTree.fromstring(repomd).findall(f"{_REPO}data"):
                location = record.find(f"{_REPO}location")
                href = location.get("href", "") if location is not None else ""
                digest, size, opened = (record.findtext(f"{_REPO}{name}", "") for name in ("checksum", "size", "open-size"))
                if not _LISTED.fullmatch(f"{digest} {size} {href}") or not _SIZE.fullmatch(opened):
                    raise ValueError(f"{href[:200]!r} is not the name of a list with digest and size")
                if fault := self._index(top / href, digest, int(size)):
                    yield fault
                elif record.get("type") == "primary":
                    yield from self._primary(top / href, int(opened), suite)
        except (ElementTree.ParseError, ValueError) as error:
            yield f"{top / 'repodata/repomd.xml'}: damaged: {error}"

    def _primary(self, path: Path, size: int, suite: str) -> Iterator[str]:
        expected = {item.path: item for item in self.state.shown(suite, RPM)}
        try:
            with _opened(path) as stream:
                packages = ElementTree.fromstring(b"".join(blocks(xz.Reader(stream, "gzip", size)))).findall(f"{_COMMON}package")
        except (OSError, ValueError, ElementTree.ParseError) as error:
            yield f"{path}: damaged: {error}"
            return
        for package in packages:
            location, measured = package.find(f"{_COMMON}location"), package.find(f"{_COMMON}size")
            href = location.get("href", "") if location is not None else ""
            item = expected.pop(href, None)
            told = (*(package.findtext(f"{_COMMON}{name}") for name in ("name", "arch", "checksum")),
                    measured.get("package") if measured is not None else "")
            if item is None:
                yield f"{path}: {href} is not in this suite"
            elif told != (item.name, item.architecture, item.sha256, str(item.size)):
                yield f"{path}: {href}: name, architecture, digest or size is not that of the published file"
        for name in sorted(expected):
            yield f"{path}: it does not list {name}"

    # --- the packages --------------------------------------------------------------------------------------------

    def _pool(self) -> Iterator[str]:
        for item in self.state.items.values():
            path = self.root / item.path
            try:
                with _opened(path) as stream:
                    yield from self._package(path, item, stream)
            except OSError as error:
                yield f"{path}: {error.strerror}"
            except (OndemandError, ValueError) as error:
                yield str(error)
        known = set(self.state.items) | set(self.state.removed)
        for file in sorted(self.root.glob("pool/*/*/*")):
            if str(file.relative_to(self.root)) not in known:
                yield f"{file}: no index lists it; delete it"

    def _package(self, path: Path, item: Item, stream: BinaryIO) -> Iterator[str]:
        if os.fstat(stream.fileno()).st_size != item.size or sha256(stream) != item.sha256:
            yield f"{path}: its digest is not that of the published file"
            return
        stream.seek(0)
        if inspect(path, stream).identity != item.identity:
            yield f"{path}: its contents are not those that were published"
        if item.format.is_signed:
            stream.seek(0)
            front = read_rpm.front(stream)
            if not gpg.good_signers(rpmsign.signed_part(front), rpmsign.signature(front), self.keyring, or_expired=True):
                yield (f"{path}: no valid signature by a key of the repository; publish it with another release and "
                       "remove this one")
