"""A package that carries an image is larger than memory should be: it is published, verified and compared in blocks."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from signing import Signer

from ondemand_pkg.contents import package_of
from ondemand_pkg.formats import FORMATS, read_deb, read_rpm, rpmheader
from ondemand_pkg.formats.rpmheader import SignatureTag
from ondemand_pkg.model import CarriedImage, Container, Port, Resolved, TcpAddress
from ondemand_pkg.package import BLOCK, Stored

SIZE = 300 * 2**20  # bytes of the image: more than a reader ever took into memory
MOST = 150 * 2**20  # bytes that a command may have in memory, the interpreter and its modules among them
BOTH = pytest.mark.parametrize("format_name", sorted(FORMATS))


def built(directory: Path, image: Path, version: str) -> dict[str, Path]:
    """Build packages that carry an image of nothing but zeros."""
    digests = [hashlib.new(name, usedforsecurity=False) for name in ("md5", "sha256")]
    with image.open("rb") as stream:
        while block := stream.read(BLOCK):
            for digest in digests:
                digest.update(block)
    stored = Stored(image, SIZE, digests[0].hexdigest(), digests[1].hexdigest())
    resolved = Resolved(Container("large", "large:1", version, (Port(TcpAddress(None, 80), 80),), bundle=True),
                        CarriedImage(f"ondemand/large:{version}", stored))
    paths = {}
    for name, writer in FORMATS.items():
        package = package_of.package(resolved, writer, 0)
        paths[name] = directory / writer.filename(package)
        with paths[name].open("w+b") as stream:
            writer.write(package, stream)
    return paths


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Path]]]:
    """Two versions in both formats."""
    directory = tmp_path_factory.mktemp("large")
    image = directory / "image.tar"
    with image.open("wb") as stream:
        stream.truncate(SIZE)
    yield [built(directory, image, version) for version in ("1", "2")]


# A program counts the peak of the process that it was started from as its own (getrusage(2), ru_maxrss), and that of a test
# run is large: it is started from this small one, which prints its peak, in KiB.
_WEIGH = """
import os, subprocess, sys
process = subprocess.Popen([sys.executable, "-m", "ondemand_pkg", *sys.argv[1:]], stderr=subprocess.STDOUT)
_, ended, used = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(ended)
print(used.ru_maxrss, file=sys.stderr)
sys.exit(process.returncode)
"""


def measured(site: Signer, *argv: str | Path, status: int = 0) -> str:
    """Run ondemand-pkg, which must not take more memory than it may; return what it printed."""
    done = subprocess.run([sys.executable, "-c", _WEIGH, *map(str, argv)], env=site.environ, text=True, capture_output=True)
    assert done.returncode == status, done.stdout + done.stderr
    used = int(done.stderr) * 1024
    assert used < MOST, f"{argv[0]} took {used >> 20} MiB"
    return done.stdout


@BOTH
def test_it_is_published_and_verified(site: Signer, tmp_path: Path, large: list[dict[str, Path]], format_name: str) -> None:
    root = tmp_path / "repository"
    measured(site, "publish", "--repo", root, "--key", site.key, large[0][format_name])
    assert measured(site, "repo", "verify", "--repo", root) == "1 packages: no error\n"
    assert "<code>ondemand/large:1</code>" in (root / "index.html").read_text()
    assert measured(site, "publish", "--repo", root, large[0][format_name])  # which changes nothing


def test_an_rpm_without_room_for_the_signature_is_signed_all_the_same(site: Signer, tmp_path: Path,
                                                                      large: list[dict[str, Path]]) -> None:
    path = tmp_path / large[0]["rpm"].name
    data = large[0]["rpm"].read_bytes()
    header = read_rpm.header(data)
    packed = rpmheader.pack({tag: header.signature[tag.number] for tag in SignatureTag
                             if tag.number in header.signature and tag is not SignatureTag.RESERVEDSPACE})
    path.write_bytes(data[:96] + packed + bytes(-len(packed) % 8) + data[header.start:])
    root = tmp_path / "repository"
    measured(site, "publish", "--repo", root, "--key", site.key, path)
    measured(site, "repo", "verify", "--repo", root)


@BOTH
def test_damage_at_its_end_is_told(site: Signer, tmp_path: Path, large: list[dict[str, Path]], format_name: str) -> None:
    path = tmp_path / large[0][format_name].name
    data = bytearray(large[0][format_name].read_bytes())
    data[-200] ^= 1
    path.write_bytes(data)
    said = measured(site, "publish", "--repo", tmp_path / "repository", "--key", site.key, path, status=1)
    assert said.startswith(f"error: {path}: not published: its ") and "damaged" in said


@BOTH
def test_it_is_compared(site: Signer, large: list[dict[str, Path]], format_name: str) -> None:
    said = measured(site, "diff", large[0][format_name], large[1][format_name], status=1)
    assert "ondemand-large: 1-1 -> 2-1" in said and "image.tar" not in said  # the same bytes
    assert measured(site, "diff", large[0][format_name], large[0][format_name]) == ""


def test_another_image_is_another_file(site: Signer, tmp_path: Path, large: list[dict[str, Path]]) -> None:
    image = tmp_path / "image.tar"
    with image.open("wb") as stream:
        stream.truncate(SIZE)
        stream.write(b"another")
    other = built(tmp_path, image, "2")
    assert "image.tar" in measured(site, "diff", large[0]["deb"], other["deb"], status=1)


def test_what_was_read_keeps_the_digests_of_what_is_large(large: list[dict[str, Path]]) -> None:
    for reader, name in ((read_deb.read, "deb"), (read_rpm.read, "rpm")):
        with large[0][name].open("rb") as stream:
            (entry,) = (entry for entry in reader(stream).entries if entry.stored)
        assert entry.path == "/usr/share/ondemand-large/image.tar" and entry.size == SIZE
        assert dataclasses.replace(entry).sha256() == hashlib.sha256(bytes(SIZE)).hexdigest()
        with pytest.raises(FileNotFoundError):
            entry.open()
