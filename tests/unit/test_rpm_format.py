"""What users may rely on in an .rpm; tests/oracle compares the same with the native tools."""

from __future__ import annotations

import dataclasses
import hashlib
import lzma
import struct
from datetime import date
from typing import Any

import pytest
from archives import packed

from ondemand_pkg.formats import FORMATS, rpmheader
from ondemand_pkg.formats.rpmdeps import Dependency, Sense, parse
from ondemand_pkg.formats.rpmheader import Tag, Type
from ondemand_pkg.package import ChangelogEntry, Entry, Kind, Package, Role

RPM = FORMATS["rpm"]
TIME = 1_700_000_000
PACKAGE = Package(
    name="ondemand-x",
    version="1.27.0",
    release=1,
    summary="x, 100% %{on} demand",
    description=("First.", "Second."),
    maintainer="A B <a@example.org>",
    license="MIT",
    entries=(
        Entry("/usr/libexec/x/run", Kind.FILE, 0o755, b"#!/bin/sh\n"),
        Entry("/usr/libexec/x", Kind.DIRECTORY, 0o755),
        Entry("/usr/bin/x", Kind.SYMLINK, 0o777, target="../libexec/x/run"),
    ),
    changelog=(ChangelogEntry(date(2023, 11, 13), "1.27.0-1", ("New.", "Newer.")),),
    timestamp=TIME,
)
CONFIG = Entry("/etc/x.env", Kind.FILE, 0o600, b"A=1\n", role=Role.CONFIG)
Read = int | str | bytes | list[int] | list[str]


def structure(data: bytes, start: int) -> tuple[dict[int, Read], list[tuple[int, int, int, int]], int]:
    """Take a header structure apart with nothing of the writer's: values, index, and where it ends."""
    assert data[start:start + 8] == b"\x8e\xad\xe8\x01\0\0\0\0"
    count, size = struct.unpack_from(">II", data, start + 8)
    store = start + 16 + 16 * count
    index = [struct.unpack_from(">IIiI", data, start + 16 + 16 * n) for n in range(count)]
    values: dict[int, Read] = {}
    for tag, kind, offset, number in index:
        at = store + offset
        if kind in (Type.INT16, Type.INT32):
            values[tag] = list(struct.unpack_from(f">{number}{'H' if kind == Type.INT16 else 'I'}", data, at))
        elif kind == Type.BIN:
            values[tag] = data[at:at + number]
        else:
            values[tag] = [text.decode() for text in data[at:store + size].split(b"\0")[:number]]
    return values, index, store + size


def take_apart(archive: bytes) -> tuple[dict[int, Read], dict[Tag, Read], bytes, bytes]:
    """The signature's values, the header's values, the header itself and the compressed payload."""
    signature, _, end = structure(archive, 96)
    start = end + -end % 8
    values, _, end = structure(archive, start)
    numbers = {tag.number: tag for tag in Tag}
    named = {numbers[number]: value for number, value in values.items() if number in numbers}
    return signature, named, archive[start:end], archive[end:]


def header(package: Package) -> dict[Tag, Any]:
    return dict(take_apart(packed(RPM, package))[1])


def dependencies(package: Package, kind: str) -> list[tuple[object, object, object]]:
    found = header(package)
    columns = [found.get(Tag[f"{kind}{column}"], []) for column in ("NAME", "FLAGS", "VERSION")]
    return list(zip(*columns, strict=True))


def changed(**changes: Any) -> Package:
    return dataclasses.replace(PACKAGE, **changes)


def test_the_file_name_holds_name_version_release_and_architecture() -> None:
    assert RPM.filename(PACKAGE) == "ondemand-x-1.27.0-1.noarch.rpm"


def test_the_same_package_gives_the_same_bytes_in_whatever_order_it_is_told() -> None:
    scripts = {"post": ":", "preun": ":"}
    relations = {"requires": ("a", "b"), "recommends": ("c",)}
    one = changed(scripts=scripts, relations=relations)
    other = changed(scripts=dict(reversed(scripts.items())), entries=PACKAGE.entries[::-1],
                    relations={"recommends": ("c",), "requires": ("b", "a", "b")})
    assert packed(RPM, one) == packed(RPM, other)


def test_the_lead_is_what_file_reads() -> None:
    lead = packed(RPM, PACKAGE)[:96]
    assert lead == (b"\xed\xab\xee\xdb\x03\0\0\0\0\xff" + b"ondemand-x-1.27.0-1".ljust(66, b"\0")
                    + b"\0\x01\0\x05" + bytes(16))


def test_the_lead_of_a_long_name_still_ends_its_name() -> None:
    lead = packed(RPM, changed(name="n" * 100))[:96]
    assert lead[10:76] == b"n" * 65 + b"\0"


def test_the_signature_header_has_the_digests_and_sizes_of_what_follows() -> None:
    signature, _, head, payload = take_apart(packed(RPM, PACKAGE))
    assert signature[269] == [hashlib.sha1(head).hexdigest()]
    assert signature[273] == [hashlib.sha256(head).hexdigest()]
    assert signature[1000] == [len(head) + len(payload)]
    assert signature[1004] == hashlib.md5(head + payload).digest()
    assert signature[1007] == [len(lzma.decompress(payload))]


def test_there_is_room_for_a_signature() -> None:
    reserved = take_apart(packed(RPM, PACKAGE))[0][1008]
    assert isinstance(reserved, bytes) and len(reserved) >= 2048 and not any(reserved)


def test_the_header_has_the_digest_of_the_payload_before_and_after_compression() -> None:
    _, values, _, payload = take_apart(packed(RPM, PACKAGE))
    assert values[Tag.PAYLOADDIGEST] == [hashlib.sha256(payload).hexdigest()]
    assert values[Tag.PAYLOADDIGESTALT] == [hashlib.sha256(lzma.decompress(payload)).hexdigest()]
    assert (values[Tag.PAYLOADCOMPRESSOR], values[Tag.PAYLOADDIGESTALGO]) == (["xz"], [8])


@pytest.mark.parametrize("name", ["x", "xy", "xyz", "wxyz"])
def test_integers_lie_at_multiples_of_their_size_and_tags_are_sorted(name: str) -> None:
    archive = packed(RPM, changed(name=name))
    for start in (96, len(archive) - len(b"".join(take_apart(archive)[2:]))):
        _, index, _ = structure(archive, start)
        assert [tag for tag, *_ in index[1:]] == sorted({tag for tag, *_ in index[1:]})
        assert all(offset % {Type.INT16: 2, Type.INT32: 4}[Type(kind)] == 0
                   for _, kind, offset, _ in index if kind in (Type.INT16, Type.INT32))


def test_the_region_covers_the_whole_index() -> None:
    packed = rpmheader.pack({Tag.NAME: "x", Tag.FILESIZES: [1, 2]})
    values, index, end = structure(packed, 0)
    assert (index[0], end) == ((63, Type.BIN, 12, 16), len(packed))
    assert values[63] == struct.pack(">IIiI", 63, Type.BIN, -3 * 16, 16)


def test_a_nul_or_a_number_too_large_for_its_tag_is_refused() -> None:
    with pytest.raises(ValueError, match="NAME"):
        rpmheader.pack({Tag.NAME: "x\0y"})
    with pytest.raises(ValueError, match="FILESIZES"):
        rpmheader.pack({Tag.FILESIZES: [2**32]})


def test_only_the_entries_are_listed_sorted_and_no_parent_is_added() -> None:
    found = header(PACKAGE)
    names, directories, indexes = found[Tag.BASENAMES], found[Tag.DIRNAMES], found[Tag.DIRINDEXES]
    assert isinstance(names, list) and isinstance(directories, list) and isinstance(indexes, list)
    assert [f"{directories[int(index)]}{name}" for index, name in zip(indexes, names, strict=True)] == [
        "/usr/bin/x", "/usr/libexec/x", "/usr/libexec/x/run"]
    assert found[Tag.FILEMODES] == [0o120777, 0o040755, 0o100755]
    assert found[Tag.FILESIZES] == [16, 0, 10]
    assert found[Tag.FILEDIGESTS] == ["", "", hashlib.sha256(b"#!/bin/sh\n").hexdigest()]
    assert found[Tag.FILELINKTOS] == ["../libexec/x/run", "", ""]


@pytest.mark.parametrize(("role", "flags"), [(Role.PLAIN, 0), (Role.CONFIG, 17), (Role.DOC, 2), (Role.LICENSE, 128)])
def test_a_role_becomes_the_flags_that_rpm_acts_on(role: Role, flags: int) -> None:
    assert header(changed(entries=(Entry("/x", Kind.FILE, 0o644, role=role),)))[Tag.FILEFLAGS] == [flags]


def test_a_package_without_files_has_no_file_tags() -> None:
    found = header(changed(entries=()))
    assert not {Tag.BASENAMES, Tag.FILEMODES, Tag.DIRNAMES} & set(found)


def test_nothing_in_a_text_is_expanded_as_a_macro() -> None:
    found = header(changed(scripts={"post": "echo 100% %{name} %(id)\n"}))
    assert found[Tag.SUMMARY] == ["x, 100% %{on} demand"]
    assert found[Tag.POSTIN] == ["echo 100% %{name} %(id)"]


def test_the_changelog_dates_from_noon_utc() -> None:
    found = header(PACKAGE)
    assert found[Tag.CHANGELOGTIME] == [1699876800]
    assert found[Tag.CHANGELOGNAME] == ["A B <a@example.org> - 1.27.0-1"]
    assert found[Tag.CHANGELOGTEXT] == ["- New.\n- Newer."]


def test_the_time_and_host_of_the_build_are_no_secret_of_the_building_host() -> None:
    found = header(PACKAGE)
    assert (found[Tag.BUILDTIME], found[Tag.BUILDHOST]) == ([TIME], ["localhost"])
    assert set(found[Tag.FILEMTIMES]) == {TIME}


def test_each_scriptlet_requires_its_shell_for_its_own_moment() -> None:
    names = ("pretrans", "pre", "post", "preun", "postun", "posttrans")
    package = changed(scripts={name: f"echo {name}\n" for name in names})
    assert [flags for name, flags, _ in dependencies(package, "REQUIRE") if name == "/bin/sh"] == [
        256 | 1 << bit for bit in (5, 7, 9, 10, 11, 12)]
    found = header(package)
    assert [found[tag] for tag in (Tag.PRETRANS, Tag.PREIN, Tag.POSTIN, Tag.PREUN, Tag.POSTUN, Tag.POSTTRANS)] == [
        [f"echo {name}"] for name in names]
    assert found[Tag.PRETRANSPROG] == found[Tag.POSTTRANSPROG] == found[Tag.POSTUNPROG] == ["/bin/sh"]


def test_a_package_provides_itself_and_with_a_configuration_file_its_config_too() -> None:
    assert dependencies(PACKAGE, "PROVIDE") == [("ondemand-x", 8, "1.27.0-1")]
    with_config = changed(entries=(*PACKAGE.entries, CONFIG))
    config = ("config(ondemand-x)", 1 << 28 | 8, "1.27.0-1")
    assert dependencies(with_config, "PROVIDE") == [config, ("ondemand-x", 8, "1.27.0-1")]
    assert config in dependencies(with_config, "REQUIRE")


@pytest.mark.parametrize(("changes", "feature"), [
    ({}, None),
    ({"version": "1.0~rc1"}, "TildeInVersions"),
    ({"version": "1.0^git"}, "CaretInVersions"),
    ({"relations": {"conflicts": ("a < 1~",)}}, "TildeInVersions"),
    ({"relations": {"recommends": ("(a or b)",)}}, "RichDependencies"),
])
def test_an_rpm_too_old_for_the_package_is_told_so(changes: dict[str, Any], feature: str | None) -> None:
    always = {"CompressedFileNames", "FileDigests", "PayloadFilesHavePrefix", "PayloadIsXz"}
    found = {str(name) for name, _, _ in dependencies(changed(**changes), "REQUIRE")}
    assert found == {f"rpmlib({name})" for name in always | ({feature} if feature else set())}


@pytest.mark.parametrize(("relation", "dependency"), [
    ("systemd", Dependency("systemd")),
    ("/usr/bin/env", Dependency("/usr/bin/env")),
    ("perl(Foo::Bar) = 1", Dependency("perl(Foo::Bar)", "1", Sense.EQUAL)),
    ("foo >= 1:2-3", Dependency("foo", "1:2-3", Sense.GREATER | Sense.EQUAL)),
    ("libc.so.6(GLIBC_2.4)(64bit)", Dependency("libc.so.6(GLIBC_2.4)(64bit)")),
    ("foo < 1~rc^2", Dependency("foo", "1~rc^2", Sense.LESS)),
    ("(a or (b >= 1 with b < 2))", Dependency("(a or (b >= 1 with b < 2))")),
])
def test_a_relation_is_read_as_rpmbuild_reads_it(relation: str, dependency: Dependency) -> None:
    assert parse(relation) == dependency


@pytest.mark.parametrize("relation", [
    "", "foo >=", "foo => 1", "foo>=1", "foo 1", "foo, bar", "foo >= 1 bar", "(a", "(a) or (b)", "a)", "-foo",
    "foo >= 1%2", "a,b"])
def test_what_is_no_relation_is_refused(relation: str) -> None:
    with pytest.raises(ValueError):
        parse(relation)


@pytest.mark.parametrize("changes", [
    {"relations": {"provides": ("(a or b)",)}},
    {"relations": {"depends": ("a",)}},
    {"scripts": {"postinst": ":"}},
    {"version": "1-2"},
    {"version": ""},
    {"name": "-x"},
    {"name": "x/y"},
    {"summary": "x\ny"},
    {"description": ("x\x1b[0m",)},
    {"entries": (Entry("relative", Kind.FILE, 0o644),)},
    {"changelog": (ChangelogEntry(date(1969, 12, 31), "1-1", ("x",)),)},
])
def test_what_an_rpm_cannot_carry_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        packed(RPM, changed(**changes))
