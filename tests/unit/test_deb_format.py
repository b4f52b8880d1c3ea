"""What users may rely on in a .deb; tests/oracle compares the same with the native tools."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import lzma
import os
import re
import subprocess
import sys
import tarfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from archives import ar_packed, packed
from hypothesis import given, settings
from hypothesis import strategies as st

from ondemand_pkg.formats import FORMATS, xz
from ondemand_pkg.formats.text import WIDTH, fold
from ondemand_pkg.package import ChangelogEntry, Entry, Kind, Package, Role

DEB = FORMATS["deb"]
TIME = 1_700_000_000
PACKAGE = Package(
    name="ondemand-x",
    version="1.27.0~rc1",
    release=1,
    summary="x on demand",
    description=("First.", "Second."),
    maintainer="A B <a@example.org>",
    license="MIT",
    entries=(
        Entry("/usr/share/a/file", Kind.FILE, 0o644, b"12345"),
        Entry("/usr/share/a.b", Kind.FILE, 0o755, b"#!/bin/sh\n"),
        Entry("/usr/bin/link", Kind.SYMLINK, 0o777, target="../share/a/file"),
        Entry("/etc/x.env", Kind.FILE, 0o600, b"A=1\n", role=Role.CONFIG),
        Entry("/var/lib/x", Kind.DIRECTORY, 0o750),
    ),
    changelog=(ChangelogEntry(date(2023, 11, 13), "1.27.0~rc1-1", ("New.",)),),
    timestamp=TIME,
    scripts={"postinst": "#!/bin/sh\nexit 0\n"},
    relations={"depends": ("systemd", "a | b"), "pre-depends": ("c (>= 1)",)},
)


def parts(archive: bytes) -> tuple[bytes, bytes]:
    """The control and the data archive, uncompressed."""
    first = 8 + 60 + 4
    size = int(archive[first + 48:first + 58])
    second = first + 60 + size + size % 2
    return lzma.decompress(archive[first + 60:first + 60 + size]), lzma.decompress(archive[second + 60:].rstrip(b"\n"))


def members(tar: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return {member.name: member for member in archive}


def control_member(package: Package, name: str) -> str:
    with tarfile.open(fileobj=io.BytesIO(parts(packed(DEB, package))[0])) as archive:
        stream = archive.extractfile(f"./{name}")
        assert stream is not None
        return stream.read().decode()


def control_field(package: Package, name: str) -> str:
    lines = control_member(package, "control").splitlines()
    return next(line for line in lines if line.startswith(f"{name}: ")).partition(": ")[2]


def with_entry(entry: Entry) -> Package:
    return dataclasses.replace(PACKAGE, entries=(*PACKAGE.entries, entry))


def test_the_file_name_holds_name_version_release_and_architecture() -> None:
    assert DEB.filename(PACKAGE) == "ondemand-x_1.27.0~rc1-1_all.deb"


@pytest.mark.parametrize("format_name", sorted(FORMATS))
def test_the_same_package_gives_the_same_bytes_whatever_the_environment(format_name: str) -> None:
    program = ("import os, sys; os.umask(int(sys.argv[1], 8)); sys.path[:0] = sys.argv[2:]\n"
               "import dataclasses, hashlib; from test_deb_format import FORMATS, PACKAGE, packed\n"
               f"bare = dataclasses.replace(PACKAGE, scripts={{}}, relations={{}})\n"
               f"print(hashlib.sha256(packed(FORMATS[{format_name!r}], bare)).hexdigest())")
    root = Path(__file__).parents[2]
    digests = {
        subprocess.run([sys.executable, "-c", program, umask, root, Path(__file__).parent, Path(__file__).parents[1]],
                       check=True, cwd="/", capture_output=True, text=True,
                       env={"PATH": os.environ["PATH"], **environment}).stdout
        for umask, environment in (
            ("022", {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8"}),
            ("077", {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo", "LC_ALL": "C", "SOURCE_DATE_EPOCH": "1", "HOME": "/x"}))
    }
    assert len(digests) == 1 and digests.pop()


def test_the_order_in_which_entries_scripts_and_relations_are_given_does_not_matter() -> None:
    shuffled = dataclasses.replace(
        PACKAGE, entries=PACKAGE.entries[::-1], relations=dict(reversed(list(PACKAGE.relations.items()))),
        scripts=dict(reversed({**PACKAGE.scripts, "prerm": "#!/bin/sh\n"}.items())))
    straight = dataclasses.replace(PACKAGE, scripts={**PACKAGE.scripts, "prerm": "#!/bin/sh\n"})
    assert packed(DEB, shuffled) == packed(DEB, straight)


def test_the_archive_starts_as_deb5_says() -> None:
    assert packed(DEB, PACKAGE)[:72] == (
        b"!<arch>\n"
        b"debian-binary   1700000000  0     0     100644  4         `\n"
        b"2.0\n")
    assert packed(DEB, PACKAGE)[72:88] == b"control.tar.xz  "


def test_an_odd_member_is_padded_to_an_even_size_that_its_header_does_not_count() -> None:
    archive = ar_packed([("odd", b"abc"), ("even", b"de")], TIME)
    assert archive == (b"!<arch>\n"
                       b"odd             1700000000  0     0     100644  3         `\nabc\n"
                       b"even            1700000000  0     0     100644  2         `\nde")


def test_parent_directories_are_added_and_stand_before_their_content_and_links_last() -> None:
    assert list(members(parts(packed(DEB, PACKAGE))[1])) == [
        ".", "./etc", "./etc/x.env", "./usr", "./usr/bin", "./usr/share", "./usr/share/a", "./usr/share/a/file",
        "./usr/share/a.b", "./var", "./var/lib", "./var/lib/x", "./usr/bin/link"]


def test_modes_are_kept_and_everything_belongs_to_root_at_the_packages_time() -> None:
    found = members(parts(packed(DEB, PACKAGE))[1])
    assert {name: oct(member.mode) for name, member in found.items() if member.mode != 0o755} == {
        "./etc/x.env": "0o600", "./usr/share/a/file": "0o644", "./var/lib/x": "0o750", "./usr/bin/link": "0o777"}
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in found.values()} == {(0, 0, "root", "root", TIME)}


def test_another_owner_stands_by_name_for_dpkg_to_look_up() -> None:
    found = members(parts(packed(DEB, with_entry(Entry("/srv/x", Kind.DIRECTORY, 0o750, owner="www", group="adm"))))[1])
    assert (found["./srv/x"].uname, found["./srv/x"].gname, found["./srv/x"].uid) == ("www", "adm", 0)


def test_a_path_longer_than_a_tar_header_is_kept() -> None:
    path = "/usr/" + "/".join(["directory"] * 20) + "/größe"
    assert f".{path}" in members(parts(packed(DEB, with_entry(Entry(path, Kind.FILE, 0o644))))[1])


def test_the_control_file_has_its_fields_in_dpkg_gencontrols_order() -> None:
    assert control_member(PACKAGE, "control") == (
        "Package: ondemand-x\nVersion: 1.27.0~rc1-1\nArchitecture: all\nMaintainer: A B <a@example.org>\n"
        "Installed-Size: 13\nPre-Depends: c (>= 1)\nDepends: systemd, a | b\nSection: admin\nPriority: optional\n"
        "Description: x on demand\n First.\n .\n Second.\n")


@pytest.mark.parametrize(("size", "kibibytes"), [(0, 0), (1, 1), (1024, 1), (1025, 2)])
def test_installed_size_rounds_each_file_up_to_kibibytes(size: int, kibibytes: int) -> None:
    before = int(control_field(PACKAGE, "Installed-Size"))
    after = int(control_field(with_entry(Entry("/usr/new", Kind.FILE, 0o644, bytes(size))), "Installed-Size"))
    assert after - before == kibibytes


def test_md5sums_has_all_files_but_conffiles_which_have_their_own_list() -> None:
    assert control_member(PACKAGE, "md5sums") == (
        f"{hashlib.md5(b'#!/bin/sh' + bytes([10])).hexdigest()}  usr/share/a.b\n"
        f"{hashlib.md5(b'12345').hexdigest()}  usr/share/a/file\n")
    assert control_member(PACKAGE, "conffiles") == "/etc/x.env\n"


def test_scripts_are_executable_and_lists_without_content_are_left_out() -> None:
    found = members(parts(packed(DEB, dataclasses.replace(PACKAGE, entries=())))[0])
    assert {name: oct(member.mode) for name, member in found.items()} == {
        ".": "0o755", "./control": "0o644", "./postinst": "0o755"}


WORDS = st.lists(st.text("a.é", min_size=1, max_size=30) | st.sampled_from(["a", ".", ".env"]), min_size=1, max_size=40)


@given(WORDS)
def test_folding_keeps_every_word_and_fills_each_line_as_far_as_it_goes(words: list[str]) -> None:
    lines = fold(" ".join(words))
    assert " ".join(lines).split(" ") == words
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        # A word and those with a full stop that have to follow it on its line.
        together = re.compile(r"\S+( \.\S*)*")
        assert len(line) <= WIDTH or together.fullmatch(line)
        first = together.match(following)
        assert first is None or len(line) + 1 + len(first[0]) > WIDTH
        assert not following.startswith(".")


def test_a_line_may_be_as_long_as_the_width_and_no_longer() -> None:
    assert fold(f"{'x' * (WIDTH - 2)} y") == [f"{'x' * (WIDTH - 2)} y"]
    assert fold(f"{'x' * (WIDTH - 1)} y") == ["x" * (WIDTH - 1), "y"]


def test_a_word_too_long_for_a_line_has_one_of_its_own() -> None:
    assert fold(f"see https://{'x' * WIDTH} there") == ["see", f"https://{'x' * WIDTH}", "there"]


def test_a_description_that_starts_with_a_full_stop_is_not_taken_for_a_blank_line() -> None:
    package = dataclasses.replace(PACKAGE, description=(". starts " + "long " * 14 + "long .env",))
    assert control_member(package, "control").split("Description: ")[1] == (
        "x on demand\n  . starts " + "long " * 13 + "long\n long .env\n")


BAD: dict[str, dict[str, object]] = {
    "a newline in the summary": {"summary": "x\nEvil: yes"},
    "a newline in the description": {"description": ("x\nEvil: yes",)},
    "an empty paragraph": {"description": ("",)},
    "a newline in the maintainer": {"maintainer": "A\nB"},
    "a next-line control": {"summary": "x\x85y"},
    "a line separator": {"homepage": "x\u2028y"},
    "a surrogate": {"license": "\ud800"},
    "a newline in a relation": {"relations": {"depends": ("a\nEvil: yes",)}},
    "a relation of the other format": {"relations": {"requires": ("a",)}},
    "a script of the other format": {"scripts": {"post": "#!/bin/sh\n"}},
    "a script that can't be executed": {"scripts": {"postinst": "exit 0\n"}},
    "a NUL in a script": {"scripts": {"postinst": "#!/bin/sh\n\0"}},
    "a capital in the name": {"name": "X-y"},
    "a slash in the version": {"version": "1/../2"},
    "an epoch": {"version": "1:2"},
    "no release": {"release": 0},
    "a time before 1970": {"timestamp": -1},
    "a time after 2106": {"timestamp": 2**32},
    "no changelog": {"changelog": ()},
    "a relative path": {"entries": (Entry("usr/x", Kind.FILE, 0o644),)},
    "a path that climbs": {"entries": (Entry("/usr/../x", Kind.FILE, 0o644),)},
    "two leading slashes": {"entries": (Entry("//x", Kind.FILE, 0o644),)},
    "the root directory": {"entries": (Entry("/", Kind.DIRECTORY, 0o755),)},
    "a newline in a path": {"entries": (Entry("/etc/a\n/etc/b", Kind.FILE, 0o644, role=Role.CONFIG),)},
    "the same path twice": {"entries": (Entry("/x", Kind.FILE, 0o644), Entry("/x", Kind.DIRECTORY, 0o755))},
    "a file below a link": {"entries": (Entry("/x/y", Kind.FILE, 0o644), Entry("/x", Kind.SYMLINK, 0o777, target="z"))},
    "a link to nowhere": {"entries": (Entry("/x", Kind.SYMLINK, 0o777),)},
    "a directory with content": {"entries": (Entry("/x", Kind.DIRECTORY, 0o755, b"y"),)},
    "a file with a target": {"entries": (Entry("/x", Kind.FILE, 0o644, target="y"),)},
    "a link as configuration": {"entries": (Entry("/x", Kind.SYMLINK, 0o777, target="y", role=Role.CONFIG),)},
    "a mode with the file type's bits": {"entries": (Entry("/x", Kind.FILE, 0o100644),)},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD.keys())
def test_what_a_deb_cannot_carry_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        packed(DEB, dataclasses.replace(PACKAGE, **changes))


def compressed(*pieces: bytes) -> bytes:
    stream = io.BytesIO()
    writer = xz.Writer(stream)
    for piece in pieces:
        writer.write(piece)
    writer.close()
    return stream.getvalue()


@settings(deadline=None)
@given(st.binary(max_size=3000), st.lists(st.integers(0, 700_000), max_size=8))
def test_compression_gives_the_same_bytes_in_whatever_pieces_the_content_comes(pattern: bytes, cuts: list[int]) -> None:
    content = b"".join(bytes([number % 256]) + pattern for number in range(300))
    cuts = sorted(min(cut, len(content)) for cut in cuts)
    pieces = [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    assert compressed(*pieces) == compressed(content)
    assert lzma.decompress(compressed(*pieces)) == content


def test_compression_gives_the_same_bytes_on_every_host() -> None:
    # The same with liblzma 5.2, 5.4 and 5.8; another here means that hosts would publish different packages under one name.
    data = b"".join(hashlib.sha256(bytes([number])).hexdigest().encode() * 3 for number in range(200))
    assert hashlib.sha256(compressed(data)).hexdigest()[:32] == "4133ce3ef997b7dcae54745d2f4414ae"
