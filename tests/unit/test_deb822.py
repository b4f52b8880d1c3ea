"""A control file is what every reader takes it for, or no package is published."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from archives import ar_packed, foreign_deb, tar_packed
from hostile import HARMLESS, REFUSED, TAKEN

from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import deb822, read_deb
from ondemand_pkg.repository.inspect import inspect

NAME = Path("harmless_1.0-1_all.deb")


@pytest.mark.parametrize("fields", REFUSED, ids=lambda fields: ascii(fields[:40]))
def test_what_apt_reads_as_another_package_or_breaks_at_is_refused(fields: bytes) -> None:
    with pytest.raises(OndemandError, match="^harmless.*not published: its control file (is invalid|has no field)"):
        inspect(NAME, io.BytesIO(foreign_deb(HARMLESS % fields)))


@pytest.mark.parametrize("fields", TAKEN, ids=lambda fields: ascii(fields[:40]))
def test_what_every_reader_reads_alike_is_taken(fields: bytes) -> None:
    facts = inspect(NAME, io.BytesIO(foreign_deb(HARMLESS % fields)))
    assert (facts.name, facts.version) == ("harmless", "1.0-1")


def test_a_known_field_is_found_however_it_is_spelt() -> None:
    text = b"package: harmless\nVERSION: 1.0-1\narchitecture: all\ndescription: x\n"
    assert list(inspect(NAME, io.BytesIO(foreign_deb(text))).fields) == ["Package", "Version", "Architecture", "Description"]


@pytest.mark.parametrize(("control", "name"), [
    (b"Package: web\nVersion: %s:1-1\nArchitecture: all\n" % (b"9" * 5000), "web_1-1_all.deb"),
    (b"Package: web\nVersion: 2147483648:1-1\nArchitecture: all\n", "web_1-1_all.deb"),
    (b"Package: %s\nVersion: 1-1\nArchitecture: all\n" % (b"a" * 254), "a" * 254 + "_1-1_all.deb"),
    (b"Package: web\nVersion: %s\nArchitecture: all\n" % (b"1" * 240), f"web_{'1' * 240}_all.deb"),
    (b"Package: web\nVersion: 1-1\nArchitecture: %s\n" % (b"a" * 200), f"web_1-1_{'a' * 200}.deb")])
def test_a_name_or_epoch_that_no_host_takes_is_refused(control: bytes, name: str) -> None:
    with pytest.raises(OndemandError, match="not published: its (name|version|epoch|architecture|.* the field Version)"):
        inspect(Path(name), io.BytesIO(foreign_deb(control)))


@pytest.mark.parametrize("stems", [["control", "control", "data"], ["control", "data", "data"], ["control", "data", "control"]])
def test_a_second_archive_of_one_kind_is_refused(stems: list[str]) -> None:
    contents = {"control": tar_packed([("./control", HARMLESS % b"")]), "data": tar_packed([])}
    members = [("debian-binary", b"2.0\n"), *((f"{stem}.tar", contents[stem]) for stem in stems)]
    with pytest.raises(ValueError, match="members twice"):
        read_deb.control(io.BytesIO(ar_packed(members, 0)))


def test_a_second_control_file_is_refused() -> None:
    control = tar_packed([("./control", HARMLESS % b""), ("control", (HARMLESS % b"").replace(b"harmless", b"bash"))])
    with pytest.raises(ValueError, match="contains control twice"):
        read_deb.control(io.BytesIO(ar_packed([("debian-binary", b"2.0\n"), ("control.tar", control), ("data.tar", b"")], 0)))


def test_folded_lines_take_time_by_their_number() -> None:
    text = "Package: a\nVersion: 1\nDescription: x\n" + " y\n" * 500_000
    begin = time.monotonic()
    assert len(deb822.control(text)["Description"]) == 1 + 3 * 500_000
    assert time.monotonic() - begin < 5
