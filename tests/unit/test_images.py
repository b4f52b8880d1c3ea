"""What users may rely on where a package pins or carries its image; tests/hosts asks real engines and registries."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from archives import packed
from hypothesis import given, settings
from hypothesis import strategies as st

from ondemand_pkg.building import packing
from ondemand_pkg.building.images import Images, rewritten
from ondemand_pkg.building.source_packages import write_source
from ondemand_pkg.contents import package_of
from ondemand_pkg.engines.docker import specification
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.model import CarriedImage, Container, Port, Resolved, TcpAddress
from ondemand_pkg.package import Entry, Kind, Stored

WEB = Container("web", "registry.example:5000/team/nginx:1.27", "1.27.0", (Port(TcpAddress(None, 80), 80),))
BUNDLE = dataclasses.replace(WEB, bundle=True)
LAYERS = [b"first layer", b"second layer"]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


DIGESTS = [f"sha256:{digest(layer)}" for layer in LAYERS]
CONFIGURATION = json.dumps({"rootfs": {"type": "layers", "diff_ids": [*DIGESTS, DIGESTS[0]]}}).encode()
IMAGE = digest(CONFIGURATION)


def saved(path: Path, files: Mapping[str, bytes], time: int = 0) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), time
            archive.addfile(member, io.BytesIO(content))
    return path


def as_engine_20(path: Path) -> Path:
    return saved(path, {
        "aa/VERSION": b"1.0", "aa/json": b"{}", "aa/layer.tar": LAYERS[0], "bb/layer.tar": LAYERS[1],
        f"{IMAGE}.json": CONFIGURATION,
        "manifest.json": json.dumps([{"Config": f"{IMAGE}.json", "RepoTags": None,
                                      "Layers": ["aa/layer.tar", "bb/layer.tar", "aa/layer.tar"]}]).encode()})


def as_engine_29(path: Path) -> Path:
    """With its layers packed, as an engine keeps them that has containerd's store."""
    first, second = (gzip.compress(layer, mtime=0) for layer in LAYERS)
    blobs = {f"blobs/sha256/{digest(blob)}": blob for blob in (first, second, CONFIGURATION)}
    return saved(path, {**blobs, "index.json": b"{}", "oci-layout": b"{}", "manifest.json": json.dumps([{
        "Config": f"blobs/sha256/{IMAGE}", "RepoTags": ["x:1"],
        "Layers": [f"blobs/sha256/{digest(blob)}" for blob in (first, second, first)]}]).encode()}, 1_700_000_000)


def carried(tmp_path: Path) -> CarriedImage:
    return rewritten(as_engine_20(tmp_path / "saved"), tmp_path / "image.tar", WEB.image)


def archive_of(image: CarriedImage) -> Path:
    """Return where the archive of an image is kept, which only one read from a package does not know."""
    assert image.archive.path is not None
    return image.archive.path


def test_the_archive_is_the_same_whichever_engine_saved_the_image(tmp_path: Path) -> None:
    one = carried(tmp_path)
    other = rewritten(as_engine_29(tmp_path / "other"), tmp_path / "other.tar", WEB.image)
    assert archive_of(one).read_bytes() == archive_of(other).read_bytes()
    assert one == dataclasses.replace(other, archive=dataclasses.replace(other.archive, path=one.archive.path))


def content(archive: tarfile.TarFile, member: tarfile.TarInfo | str) -> bytes:
    found = archive.extractfile(member)
    assert found is not None, f"{member} is no file"
    return found.read()


def test_the_archive_is_what_docker_load_takes(tmp_path: Path) -> None:
    image = carried(tmp_path)
    with tarfile.open(image.archive.path) as archive:
        contents = {member.name: content(archive, member) for member in archive}
    first, second = (f"{digest(layer)}.tar" for layer in LAYERS)
    (listed,) = json.loads(contents.pop("manifest.json"))
    assert listed == {"Config": f"{IMAGE}.json", "RepoTags": [f"ondemand/nginx:{IMAGE}"], "Layers": [first, second, first]}
    assert contents == {f"{IMAGE}.json": CONFIGURATION, first: LAYERS[0], second: LAYERS[1]}


def test_the_name_on_hosts_is_that_of_no_other_image(tmp_path: Path) -> None:
    assert carried(tmp_path).name == f"ondemand/nginx:{IMAGE}"


@pytest.mark.parametrize("files", [{}, {"manifest.json": b"[]"}, {"manifest.json": b'[{"Config": "x", "Layers": []}]'}])
def test_what_is_no_archive_of_an_image_is_told(tmp_path: Path, files: Mapping[str, bytes]) -> None:
    with pytest.raises(OndemandError, match="the engine's archive of the image x can't be read"):
        rewritten(saved(tmp_path / "saved", files), tmp_path / "image.tar", "x")


def test_a_layer_in_a_compression_that_cant_be_read_is_told(tmp_path: Path) -> None:
    configuration = json.dumps({"rootfs": {"diff_ids": ["sha256:x"]}}).encode()
    path = saved(tmp_path / "saved", {"c": configuration, "l": b"\x28\xb5\x2f\xfd", "manifest.json": json.dumps(
        [{"Config": "c", "Layers": ["l"]}]).encode()})
    with pytest.raises(OndemandError, match="compressed with zstd"):
        rewritten(path, tmp_path / "image.tar", "x")


def test_a_container_that_asks_for_nothing_needs_no_engine(tmp_path: Path) -> None:
    assert Images(tmp_path).resolved(WEB) == Resolved(WEB)


@pytest.mark.parametrize(("key", "container"), [
    ("pin", dataclasses.replace(WEB, pin=True)), ("bundle", dataclasses.replace(WEB, bundle=True))], ids=["pin", "bundle"])
def test_without_an_engine_the_key_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, container: Container,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(OndemandError) as caught:
        Images(tmp_path).resolved(container)
    assert str(caught.value) == (f"container.web.{key}: no Docker engine answers (No such file or directory); start one, "
                                 "name one in DOCKER_HOST, or leave the key out")


def test_an_image_with_a_digest_is_pinned_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    pinned = dataclasses.replace(WEB, image=f"nginx@sha256:{'a' * 64}", pin=True)
    assert Images(tmp_path).resolved(pinned) == Resolved(pinned)


@pytest.mark.parametrize("container", [dataclasses.replace(WEB, bundle=True), dataclasses.replace(WEB, pin=True)],
                         ids=["bundle", "pin"])
def test_a_container_whose_image_nobody_has_asked_for_cant_be_packed(container: Container) -> None:
    with pytest.raises(ValueError, match="web: its image"):
        Resolved(container)


def test_an_image_that_nobody_wants_in_the_package_is_not_carried(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="and only there"):
        Resolved(WEB, carried(tmp_path))


def test_a_source_tree_has_the_image_that_is_carried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = carried(tmp_path)
    monkeypatch.setattr(Images, "resolved", lambda _, container: Resolved(container, image))
    top, tarball = write_source([BUNDLE], tmp_path / "source", {})
    assert (top / "root/usr/share/ondemand-web/image.tar").read_bytes() == archive_of(image).read_bytes()
    with tarfile.open(tarball) as archive:
        assert content(archive, f"{top.name}/root/usr/share/ondemand-web/image.tar") == archive_of(image).read_bytes()


@pytest.mark.parametrize("format_name", sorted(FORMATS))
def test_a_package_with_its_image_has_it_and_a_container_that_is_made_from_it(tmp_path: Path, format_name: str) -> None:
    image = carried(tmp_path)
    package = package_of.package(Resolved(BUNDLE, image), FORMATS[format_name], 0)
    (entry,) = [entry for entry in package.entries if entry.path == "/usr/share/ondemand-web/image.tar"]
    assert (entry.size, entry.sha256(), entry.mode) == (
        archive_of(image).stat().st_size, digest(archive_of(image).read_bytes()), 0o644)
    (declared,) = [json.loads(entry.data) for entry in package.entries if entry.path.endswith("container.json")]
    assert (declared["image"], declared["archive"]) == (image.name, entry.path)


@pytest.mark.parametrize("format_name", sorted(FORMATS))
def test_where_the_builder_keeps_the_image_for_a_while_is_no_part_of_the_package(tmp_path: Path, format_name: str) -> None:
    image = carried(tmp_path)
    elsewhere = dataclasses.replace(image.archive, path=tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_bytes(archive_of(image).read_bytes())
    one, other = (packed(FORMATS[format_name], package_of.package(Resolved(BUNDLE, each), FORMATS[format_name], 0))
                  for each in (image, dataclasses.replace(image, archive=elsewhere)))
    assert one == other


def test_the_spec_follows_the_image_that_is_carried_and_not_the_tag(tmp_path: Path) -> None:
    image = carried(tmp_path)
    one, same, other = (
        specification(Resolved(dataclasses.replace(BUNDLE, image=tag), dataclasses.replace(image, name=name)))["spec"]
        for tag, name in (("x:1", image.name), ("x:2", image.name), ("x:1", image.name[:-1])))
    assert one == same != other


@pytest.mark.parametrize("format_name", sorted(FORMATS))
@settings(max_examples=25)
@given(content=st.binary(max_size=400_000))
def test_a_content_on_disk_is_packed_as_one_in_memory(
    format_name: str, content: bytes, tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("stored") / "content"
    path.write_bytes(content)
    stored = Stored(path, len(content), hashlib.md5(content).hexdigest(), digest(content))
    package = package_of.package(Resolved(WEB), FORMATS[format_name], 0)
    one, other = (packed(FORMATS[format_name], dataclasses.replace(package, entries=(*package.entries, entry))) for entry in (
        Entry("/usr/share/content", Kind.FILE, 0o644, content), Entry("/usr/share/content", Kind.FILE, 0o644, stored=stored)))
    assert one == other


@pytest.mark.parametrize(("format_name", "size"), [("rpm", 2**32), ("deb", 10**10)])
def test_an_image_too_large_for_a_format_is_told_before_anything_is_packed(tmp_path: Path, format_name: str, size: int) -> None:
    image = CarriedImage("ondemand/nginx:x", Stored(tmp_path / "not read", size, "", ""))
    job = packing.Job(Resolved(BUNDLE, image), FORMATS[format_name], 0)
    with pytest.raises(OndemandError, match=f"a .{format_name} holds [0-9]+; make the image smaller, or leave out 'bundle'"):
        job.pack(tmp_path)
    with pytest.raises(ValueError, match="the format allows "):
        packed(job.format, job.package())


PACKS = """
import dataclasses, hashlib, resource, sys
from pathlib import Path
from ondemand_pkg.building import packing
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.model import CarriedImage, Container, Port, Resolved, TcpAddress
from ondemand_pkg.package import Stored
size, directory = int(sys.argv[1]), Path(sys.argv[2])
path = directory / "image.tar"
with path.open("wb") as stream:
    stream.truncate(size)
container = Container("web", "x:1", "1", (Port(TcpAddress(None, 80), 80),), bundle=True)
image = CarriedImage("ondemand/x:1", Stored(path, size, "0" * 32, "0" * 64))
for format in FORMATS.values():
    packing.Job(Resolved(container, image), format, 0).pack(directory)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def test_a_large_image_needs_no_memory_of_its_size_to_be_packed(tmp_path: Path) -> None:
    small, large = (int(subprocess.run([sys.executable, "-c", PACKS, str(size), str(tmp_path)], check=True, capture_output=True,
                                       text=True, cwd=Path(__file__).parents[2]).stdout) for size in (1, 256 * 2**20))
    assert large - small < 32 * 2**20, f"{small} bytes without an image, {large} with one of 256 MiB"
