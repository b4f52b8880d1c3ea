"""What users may rely on: a .deb is what dpkg-deb, dpkg-gencontrol and debhelper would have made; lintian agrees."""

from __future__ import annotations

import dataclasses
import io
import lzma
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import packed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requirements import need

from ondemand_pkg.formats import FORMATS
from ondemand_pkg.package import Entry, Kind, Package, Role

from .any_text import LINE, PARAGRAPHS, words

DEB = FORMATS["deb"]


def ar_members(archive: bytes) -> dict[str, bytes]:
    """Take an ar archive apart with nothing of the writer's."""
    assert archive.startswith(b"!<arch>\n")
    members, position = {}, 8
    while position < len(archive):
        size = int(archive[position + 48:position + 58])
        name = archive[position:position + 16].decode().strip()
        members[name] = archive[position + 60:position + 60 + size]
        position += 60 + size + size % 2
    return members


def tar_of(archive: bytes, member: str) -> bytes:
    return lzma.decompress(ar_members(archive)[member])


def control_text(archive: bytes, name: str = "control") -> str:
    with tarfile.open(fileobj=io.BytesIO(tar_of(archive, "control.tar.xz"))) as tar:
        stream = tar.extractfile(f"./{name}")
        assert stream is not None
        return stream.read().decode()


@pytest.fixture(scope="module")
def ours(deb_package: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ours") / DEB.filename(deb_package)
    path.write_bytes(packed(DEB, deb_package))
    return path


@pytest.fixture(scope="module")
def native(
    deb_package: Package,
    tmp_path_factory: pytest.TempPathFactory,
    run: Callable[..., str],
    write_tree: Callable[[Package, Path], None],
) -> Path:
    """The same package by the Debian tools; only the texts of relations and description are given to them."""
    for tool in ("dpkg-deb", "dpkg-gencontrol", "dh_md5sums"):
        need(tool)
    source = tmp_path_factory.mktemp("native")
    root = source / "debian" / deb_package.name
    write_tree(deb_package, root)
    debian = source / "debian"
    description = "Description: " + control_text(packed(DEB, deb_package)).partition("\nDescription: ")[2]
    description = description.partition("X-Ondemand-Pkg: ")[0]
    relations = "".join(f"{name.title()}: {', '.join(values)}\n" for name, values in deb_package.relations.items())
    (debian / "control").write_text(
        f"Source: {deb_package.name}\nSection: {deb_package.section}\nPriority: optional\n"
        f"Maintainer: {deb_package.maintainer}\nHomepage: {deb_package.homepage}\nStandards-Version: 4.6.2\n\n"
        f"Package: {deb_package.name}\nArchitecture: all\n{relations}XB-X-Ondemand-Pkg: {deb_package.built_by}\n"
        f"{description}")
    (debian / "changelog").write_text(
        f"{deb_package.name} ({deb_package.version}-{deb_package.release}) unstable; urgency=low\n\n  * New.\n\n"
        f" -- {deb_package.maintainer}  Mon, 13 Nov 2023 00:00:00 +0000\n")
    (debian / "compat").write_text("13\n")
    control = tmp_path_factory.mktemp("control") / "control"
    subprocess.run(["dpkg-gencontrol", f"-p{deb_package.name}", f"-P{root}", f"-O{control}"], cwd=source, check=True,
                   capture_output=True)
    members = root / "DEBIAN"
    members.mkdir(mode=0o755)
    (members / "conffiles").write_text(
        "".join(f"{entry.path}\n" for entry in deb_package.entries if entry.role is Role.CONFIG))
    subprocess.run(["dh_md5sums", "-O--buildsystem=none"], cwd=source, check=True, capture_output=True)
    (members / "triggers").write_text(f"interest-noawait {deb_package.watched}\n")
    (members / "control").write_bytes(control.read_bytes())
    for name, text in deb_package.scripts.items():
        (members / name).write_text(text)
        (members / name).chmod(0o755)
    path = source / "native.deb"
    run("dpkg-deb", "--root-owner-group", "-Zxz", "-b", root, path)
    return path


def test_the_control_file_is_the_one_that_dpkg_gencontrol_writes(ours: Path, native: Path) -> None:
    assert control_text(ours.read_bytes()) == control_text(native.read_bytes())


def test_md5sums_are_those_of_dh_md5sums(ours: Path, native: Path) -> None:
    assert control_text(ours.read_bytes(), "md5sums") == control_text(native.read_bytes(), "md5sums")


@pytest.mark.parametrize("member", ["control.tar.xz", "data.tar.xz"])
def test_each_archive_is_byte_for_byte_that_of_dpkg_deb_before_compression(
    ours: Path, native: Path, member: str,
) -> None:
    assert tar_of(ours.read_bytes(), member) == tar_of(native.read_bytes(), member)


def test_the_members_are_those_of_dpkg_deb_in_its_order(ours: Path, native: Path) -> None:
    assert list(ar_members(ours.read_bytes())) == list(ar_members(native.read_bytes()))
    # Up to the size of the first compressed member the file is the same.
    assert ours.read_bytes()[:8 + 60 + 4 + 48] == native.read_bytes()[:8 + 60 + 4 + 48]


@pytest.mark.parametrize("question", ["--contents", "--field"])
def test_dpkg_deb_says_the_same_of_both(question: str, ours: Path, native: Path, run: Callable[..., str]) -> None:
    assert run("dpkg-deb", question, ours) == run("dpkg-deb", question, native)


def test_dpkg_deb_info_names_the_control_members_and_scripts(ours: Path, native: Path, run: Callable[..., str]) -> None:
    def members(path: Path) -> list[str]:
        # The first lines give the size of the archive, which compression changes.
        return run("dpkg-deb", "--info", path).splitlines()[2:]

    assert members(ours) == members(native)


def test_dpkg_unpacks_and_lists_conffiles(
    ours: Path, tmp_path: Path, run: Callable[..., str], deb_package: Package,
) -> None:
    need("dpkg-deb")
    run("dpkg-deb", "--raw-extract", ours, tmp_path / "x")
    assert (tmp_path / "x/DEBIAN/conffiles").read_text() == "/etc/ondemand/ondemand-web.env\n"
    for entry in deb_package.entries:
        path = tmp_path / "x" / entry.path[1:]
        if entry.kind is Kind.FILE:
            assert path.read_bytes() == entry.data
        if entry.kind is not Kind.SYMLINK:
            assert path.stat().st_mode & 0o7777 == entry.mode


# What lintian says of the package's own content, and why it is right as it is.
CONTENT = {
    "non-standard-file-perm": "the environment file holds secrets: 0600",
    "non-standard-dir-perm": "the state directory is nobody else's: 0750",
    "unknown-field": "the field is this project's own, as Policy 5.7 allows; packages of containers override it",
}


def test_lintian_finds_no_error_and_no_warning(ours: Path) -> None:
    need("lintian")
    result = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", "--suppress-tags",
                             ",".join(CONTENT), ours], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "")


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(summary=LINE, description=PARAGRAPHS, content=st.binary(max_size=2000))
def test_any_text_comes_back_as_it_went_in(
    summary: str, description: list[str], content: bytes, deb_package: Package,
    run: Callable[..., str],
) -> None:
    need("dpkg-deb")
    package = dataclasses.replace(
        deb_package, summary=summary, description=tuple(description),
        entries=(*deb_package.entries, Entry("/usr/share/any", Kind.FILE, 0o644, content)))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "any.deb"
        path.write_bytes(packed(DEB, package))
        synopsis, _, extended = run("dpkg-deb", "--field", path, "Description").rstrip("\n").partition("\n")
        assert synopsis == summary
        paragraphs = re.split(r"^ \.$", extended, flags=re.M)
        assert [words(paragraph) for paragraph in paragraphs] == [words(paragraph) for paragraph in description]
        run("dpkg-deb", "--extract", path, f"{directory}/x")
        assert (Path(directory) / "x/usr/share/any").read_bytes() == content
