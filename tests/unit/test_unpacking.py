"""An image is unpacked as its layers say, and nothing of it lies anywhere but in its directory."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from engines import unpacking
from process import Failure

Change = Callable[[tarfile.TarInfo], None]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners need root")


def entry(name: str, content: bytes | None = None, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644,
          owner: int = 0, **pax: str) -> tuple[tarfile.TarInfo, bytes]:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.mode, found.uid, found.gid, found.mtime = kind, link, mode, owner, owner, 1000
    found.size = len(content or b"")
    found.pax_headers = {key.replace("__", "."): value for key, value in pax.items()}
    return found, content or b""


def directory(name: str, mode: int = 0o755) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, kind=tarfile.DIRTYPE, mode=mode)


def layer(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for one, content in entries:
            archive.addfile(one, io.BytesIO(content))
    return stream.getvalue()


def archive(path: Path, *layers: bytes, packed: bool = False, spoilt: bool = False) -> str:
    digests = ["sha256:" + hashlib.sha256(one + b"x" * spoilt).hexdigest() for one in layers]
    configuration = {"rootfs": {"diff_ids": digests}, "config": {"Cmd": ["/run"]}}
    names = [f"{index}.tar" for index in range(len(layers))]
    files = {"manifest.json": json.dumps([{"Config": "c.json", "Layers": names}]).encode(),
             "c.json": json.dumps(configuration).encode(),
             **{name: gzip.compress(one) if packed else one for name, one in zip(names, layers, strict=True)}}
    with tarfile.open(path, "w") as stream:
        for name, content in files.items():
            one = tarfile.TarInfo(name)
            one.size = len(content)
            stream.addfile(one, io.BytesIO(content))
    return str(path)


def unpacked(tmp_path: Path, *layers: bytes, packed: bool = False) -> Path:
    assert unpacking.unpack(archive(tmp_path / "i.tar", *layers, packed=packed), str(tmp_path / "root")) == {"Cmd": ["/run"]}
    return tmp_path / "root"


@pytest.mark.parametrize("packed", [False, True])
def test_files_have_content_owner_mode_time_and_links(tmp_path: Path, packed: bool) -> None:
    root = unpacked(tmp_path, layer(
        directory("bin"), entry("bin/su", b"program", mode=0o4755, owner=7),
        entry("bin/other", kind=tarfile.LNKTYPE, link="bin/su"),
        entry("sh", kind=tarfile.SYMTYPE, link="bin/su"), entry("deep/below", b"x")), packed=packed)
    found = (root / "bin/su").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, found.st_mtime) == (0o4755, 7, 7, 1000)
    assert (root / "bin/other").stat().st_ino == found.st_ino and os.readlink(root / "sh") == "bin/su"
    assert (root / "deep/below").read_bytes() == b"x"


def test_a_later_layer_replaces_and_hides_what_is_below(tmp_path: Path) -> None:
    below = layer(directory("a"), entry("a/old", b"1"), entry("a/kept", b"1"), directory("o"), entry("o/x", b"1"),
                  directory("o/d"), entry("o/d/y", b"1"), entry("file", b"1"), directory("was"), entry("was/here", b"1"))
    above = layer(entry("a/.wh.old"), entry("o/new", b"2"), entry("o/.wh..wh..opq"), directory("file"), entry("was", b"2"))
    root = unpacked(tmp_path, below, above)
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == ["a", "a/kept", "file", "o", "o/new", "was"]
    assert (root / "was").read_bytes() == b"2" and (root / "file").is_dir()


def test_a_layer_writes_through_links_as_the_container_would_see_them(tmp_path: Path) -> None:
    root = unpacked(tmp_path, layer(directory("usr/bin"), entry("bin", kind=tarfile.SYMTYPE, link="/usr/bin"),
                                    entry("up", kind=tarfile.SYMTYPE, link="../../../etc")),
                    layer(entry("bin/x", b"1"), entry("up/y", b"2")))
    assert (root / "usr/bin/x").read_bytes() == b"1" and (root / "etc/y").read_bytes() == b"2"


@pytest.mark.parametrize("hostile", [
    entry("../out", b"x"), entry("a/../../out", b"x"), entry("a", kind=tarfile.LNKTYPE, link="../../etc/passwd"),
    entry(".wh...", b""), entry("a", kind=tarfile.LNKTYPE, link="/"), entry("a", kind=tarfile.LNKTYPE, link="nothing")])
def test_what_leads_out_of_the_image_is_refused(tmp_path: Path, hostile: tuple[tarfile.TarInfo, bytes]) -> None:
    path = archive(tmp_path / "i.tar", layer(hostile))
    with pytest.raises((Failure, OSError)):
        unpacking.unpack(path, str(tmp_path / "root"))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["i.tar", "root"]


def test_links_that_never_end_are_refused(tmp_path: Path) -> None:
    links = entry("a", kind=tarfile.SYMTYPE, link="b"), entry("b", kind=tarfile.SYMTYPE, link="a")
    with pytest.raises(Failure, match="too many symbolic links"):
        unpacking.unpack(archive(tmp_path / "i.tar", layer(*links, entry("a/x", b"1"))), str(tmp_path / "root"))


def test_a_link_of_the_image_never_leads_to_files_of_the_host(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    root = unpacked(tmp_path, layer(entry("d", kind=tarfile.SYMTYPE, link=str(outside))), layer(entry("d/x", b"1")))
    assert list(outside.iterdir()) == [] and (root / str(outside).lstrip("/") / "x").read_bytes() == b"1"


def test_devices_are_left_out(tmp_path: Path) -> None:
    assert list(unpacked(tmp_path, layer(entry("null", kind=tarfile.CHRTYPE))).iterdir()) == []


def test_a_damaged_layer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="is damaged; install the package again"):
        unpacking.unpack(archive(tmp_path / "i.tar", layer(entry("a", b"1")), spoilt=True), str(tmp_path / "root"))


@pytest.mark.parametrize("content", [b"", b"no archive", b"\0" * 10240])
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "i.tar").write_bytes(content)
    with pytest.raises(Failure, match="can't be unpacked"):
        unpacking.unpack(str(tmp_path / "i.tar"), str(tmp_path / "root"))
