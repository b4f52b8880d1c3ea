"""A package that was written is read as it was; what is none, or damaged, is told."""

from __future__ import annotations

import dataclasses
import io
import lzma
import posixpath

import pytest
from archives import ar_packed, packed
from hypothesis import given, settings
from hypothesis import strategies as st

from ondemand_pkg.contents import package_of
from ondemand_pkg.formats import FORMATS, read_deb, read_rpm, rpmheader
from ondemand_pkg.formats.rpmheader import Tag
from ondemand_pkg.model import Container, Depends, Port, Resolved, TcpAddress, Volume
from ondemand_pkg.package import Entry, Kind, Package, Role

RICH = Container(
    "c++.web-1", "registry.example:5000/web:2.1", "2.1~rc1", (Port(TcpAddress(None, 80), 8080),), release=3,
    maintainer="Jörg <j@example.org>", homepage="https://example.org/", license="Apache-2.0",
    depends=Depends(("foo (>= 1) | bar",), ("foo >= 1", "(a or b)")), env={"A": "ß\n"}, volumes=(Volume("x", "/x"),),
    purge_volumes=True, description=("ünïcode " * 20).strip())
BOTH = pytest.mark.parametrize("format_name", sorted(FORMATS))
LINE = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=50).map(
    lambda text: " ".join(filter(None, text.split(" ")))).filter(bool)  # paragraphs are folded at spaces
NAMES = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp"), blacklist_characters="/"), min_size=1,
                max_size=20).filter(lambda name: name not in (".", ".."))
FILES = st.dictionaries(NAMES, st.tuples(st.binary(max_size=200), st.integers(0, 0o7777)), max_size=5)


def without_parents(entries: tuple[Entry, ...]) -> list[Entry]:
    """The entries less the directories of others, which a .deb holds whether they were given or not."""
    parents = {posixpath.dirname(entry.path) for entry in entries}
    parents |= {posixpath.dirname(path) for path in list(parents)} | {"/"}
    return [dataclasses.replace(entry, role=entry.role if entry.role is Role.CONFIG else Role.PLAIN)
            for entry in entries if entry.path not in parents]


def compared(package: Package, format_name: str) -> dict[str, object]:
    """What both formats carry, in the order and with the white space that they keep."""
    values = vars(package) | {"scripts": {name: text.rstrip() for name, text in package.scripts.items()}}
    values["description"] = tuple(" ".join(text.split()) for text in package.description)
    values["entries"] = without_parents(package.entries)
    values["relations"] = {kind: tuple(sorted(relations)) for kind, relations in package.relations.items()}
    return values | ({"section": ""} if format_name == "rpm" else {})


@BOTH
@pytest.mark.parametrize("container", [RICH, Container("nginx", "nginx:1.27", "1.27.0", (Port(TcpAddress(None, 80), 80),))],
                         ids=lambda container: container.name)
def test_a_package_is_read_as_it_was_written(format_name: str, container: Container) -> None:
    package = package_of.package(Resolved(container), FORMATS[format_name], 1_700_000_000)
    again = FORMATS[format_name].read(io.BytesIO(packed(FORMATS[format_name], package)))
    assert compared(again, format_name) == compared(package, format_name)


@BOTH
@given(files=FILES, summary=LINE, paragraph=LINE)
def test_any_name_content_and_text_is_read_as_it_was_written(format_name: str, files: dict[str, tuple[bytes, int]], summary: str,
                                                             paragraph: str) -> None:
    whole = package_of.package(Resolved(RICH), FORMATS[format_name], 1_700_000_000)
    entries = tuple(Entry(f"/opt/{name}", Kind.FILE, mode, data) for name, (data, mode) in sorted(files.items()))
    package = dataclasses.replace(whole, entries=entries, summary=summary, description=(paragraph,))
    again = FORMATS[format_name].read(io.BytesIO(packed(FORMATS[format_name], package)))
    assert without_parents(again.entries) == list(entries)
    assert (again.summary, again.description) == (summary, (paragraph,))


def test_a_deb_tells_its_control_fields_and_an_rpm_its_tags() -> None:
    deb, rpm = (packed(FORMATS[name], package_of.package(Resolved(RICH), FORMATS[name], 1)) for name in ("deb", "rpm"))
    fields = read_deb.control(io.BytesIO(deb))
    assert list(fields)[:3] == ["Package", "Version", "Architecture"] and fields["Version"] == "2.1~rc1-3"
    header = read_rpm.header(rpm)
    assert (header.text(Tag.NAME), header.list(Tag.DIRNAMES)[0]) == ("ondemand-c++.web-1", "/etc/")
    assert lzma.decompress(rpm[header.end:]).startswith(b"070701")


@BOTH
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_damaged_package_is_told_and_never_breaks_the_reader(format_name: str, data: st.DataObject) -> None:
    sound = packed(FORMATS[format_name], package_of.package(Resolved(RICH), FORMATS[format_name], 1))
    kind = data.draw(st.sampled_from(["cut", "byte"]))
    position = data.draw(st.integers(0, len(sound) - 1))
    damaged = sound[:position] if kind == "cut" else (
        sound[:position] + bytes([data.draw(st.integers(0, 255))]) + sound[position + 1:])
    try:
        FORMATS[format_name].read(io.BytesIO(damaged))
    except ValueError as error:
        assert str(error)


@BOTH
@given(st.binary(max_size=500))
def test_rubbish_is_told(format_name: str, data: bytes) -> None:
    with pytest.raises(ValueError, match="it is |missing|truncated|it has no member|damaged"):
        FORMATS[format_name].read(io.BytesIO(data))


def test_what_unfolds_to_more_than_a_package_may_hold_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ondemand_pkg.formats.xz.LARGEST_SMALL", 1 << 20)
    bomb = ar_packed([("debian-binary", b"2.0\n"), ("control.tar.xz", lzma.compress(bytes(2 << 20))), ("data.tar", b"")], 0)
    with pytest.raises(ValueError, match="xz data unpacks to more than 1 MiB"):
        read_deb.read(io.BytesIO(bomb))


@pytest.mark.parametrize(("members", "message"), [
    ([("debian-binary", b"2.0\n")], "no member control.tar"),
    ([("control.tar", b"")], "not a .deb: it has no member debian-binary"),
    ([("debian-binary", b"2.0\n"), ("control.tar.zst", b"x")], "compressed with zstd"),
])
def test_what_is_no_deb_is_told(members: list[tuple[str, bytes]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_deb.read(io.BytesIO(ar_packed(members, 0)))


def test_a_header_that_counts_more_than_it_holds_is_told() -> None:
    with pytest.raises(ValueError, match="truncated"):
        rpmheader.unpack(bytes.fromhex("8eade801 00000000 7fffffff 7fffffff"), 0, Tag)
