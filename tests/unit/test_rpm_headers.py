"""A header that two readers could read in two ways is no header."""

from __future__ import annotations

import io
import struct
import time
from pathlib import Path

import pytest
from archives import packed

from ondemand_pkg.contents import package_of
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import RPM, read_rpm, rpmheader
from ondemand_pkg.formats.rpmheader import Tag, Type, Value
from ondemand_pkg.model import Container, Port, Resolved, TcpAddress
from ondemand_pkg.repository.inspect import inspect

SOUND = packed(RPM, package_of.package(Resolved(Container("web", "web:1", "1.0", (Port(TcpAddress(None, 80), 80),))), RPM, 1))
NAME = Path("ondemand-web-1.0-1.noarch.rpm")


def structure(entries: list[tuple[int, int, int, int]], store: bytes) -> bytes:
    """Return a header structure of index entries: tag, type, offset, count."""
    index = b"".join(struct.pack(">IIiI", *entry) for entry in entries)
    return bytes.fromhex("8eade80100000000") + struct.pack(">II", len(entries), len(store)) + index + store


def with_header(changed: dict[Tag, Value]) -> bytes:
    """Return the package with other values in its header, and without a digest of that."""
    found = read_rpm.header(SOUND)
    values = {tag: found.values[tag.number] for tag in Tag if tag.number in found.values} | changed
    empty = structure([(1000, Type.INT32, 0, 1)], bytes(4))
    return SOUND[:96] + empty + bytes(-len(empty) % 8) + rpmheader.pack(values) + SOUND[found.end:]


def test_the_package_itself_is_taken() -> None:
    assert inspect(NAME, io.BytesIO(with_header({}))).image == "web:1"


@pytest.mark.parametrize("tag", [Tag.SUMMARY, Tag.URL, Tag.CHANGELOGTEXT, Tag.REQUIRENAME, Tag.BASENAMES])
@pytest.mark.parametrize("character", ["\x1b", "\x01", "\x9b", "\uffff"])
def test_a_control_character_in_what_indexes_tell_is_refused(tag: Tag, character: str) -> None:
    value = f"a{character}b"
    count = len(read_rpm.header(SOUND).list(tag))
    with pytest.raises(OndemandError, match=f"not published: its {tag.name} contains a control character"):
        inspect(NAME, io.BytesIO(with_header({tag: [value] * count if count else value})))


def test_a_tag_that_occurs_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="tag 1000 occurs twice"):
        rpmheader.unpack(structure([(1000, Type.STRING, 0, 1), (1000, Type.STRING, 2, 1)], b"a\0b\0"), 0, Tag)


@pytest.mark.parametrize(("tag", "kind"), [
    (Tag.NAME, Type.INT32), (Tag.EPOCH, Type.STRING), (Tag.REQUIREFLAGS, Type.STRING_ARRAY), (Tag.BASENAMES, Type.INT16),
    (Tag.BUILDTIME, Type.BIN), (Tag.CHANGELOGTIME, Type.INT64)])
def test_a_tag_of_another_type_is_refused(tag: Tag, kind: Type) -> None:
    with pytest.raises(ValueError, match=f"tag {tag.number} has the type {kind:d}, not {tag.type:d}"):
        rpmheader.unpack(structure([(tag.number, kind, 0, 1)], bytes(8)), 0, Tag)


@pytest.mark.parametrize(("kind", "count"), [(Type.STRING_ARRAY, 250_000), (Type.BIN, 1_000_000), (Type.INT8, 1_000_000)])
def test_many_tags_over_one_store_are_refused_at_once(kind: Type, count: int) -> None:
    """Of 4,000 tags over a MiB each reader that believes them makes 4 GiB."""
    data = structure([(9000 + number, kind, 0, count) for number in range(4000)], b"abc\0" * 250_000)
    begin = time.monotonic()
    with pytest.raises(ValueError, match="lie over each other"):
        rpmheader.unpack(data, 0, Tag)
    assert time.monotonic() - begin < 2


@pytest.mark.parametrize(("changed", "message"), [
    ({Tag.REQUIREFLAGS: [6] * 999}, "REQUIRENAME and what belongs to it have different lengths"),
    ({Tag.CHANGELOGTEXT: []}, "CHANGELOGTIME and what belongs to it"),
    ({Tag.FILEMODES: [0o100644]}, "BASENAMES and what belongs to it"),
    ({Tag.RELEASE: "9" * 5000}, "not a number of up to nine digits"),
    ({Tag.CONFLICTNAME: ["x"], Tag.CONFLICTVERSION: ["1"], Tag.CONFLICTFLAGS: [6]}, "less and greater at once")])
def test_a_header_whose_values_make_no_package_is_told(changed: dict[Tag, Value], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_rpm.read(io.BytesIO(with_header(changed)))
