"""Small files that ask for hours or gigabytes are refused soon, in little memory."""

from __future__ import annotations

import dataclasses
import gzip
import io
import lzma
import struct
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from archives import ar_packed, foreign_deb, packed, tar_packed

from ondemand_pkg.contents import package_of
from ondemand_pkg.declaration import reader
from ondemand_pkg.errors import DeclarationError
from ondemand_pkg.formats import DEB, RPM, cpio, read_deb, read_rpm, rpmheader, xz
from ondemand_pkg.formats.rpmheader import Tag
from ondemand_pkg.importing import image
from ondemand_pkg.model import Container, Port, Resolved, TcpAddress
from ondemand_pkg.package import Package

CONTROL = b"Package: x\nVersion: 1-1\nArchitecture: all\nDescription: x\n"
GIB = 2**30


def package(format_name: str) -> Package:
    container = Container("web", "web:1", "1.0", (Port(TcpAddress(None, 80), 80),))
    return package_of.package(Resolved(container), {"deb": DEB, "rpm": RPM}[format_name], 1)


def compressed(blocks: Iterator[bytes]) -> bytes:
    packer = lzma.LZMACompressor(preset=0)
    return b"".join(map(packer.compress, blocks)) + packer.flush()


def head(kind: bytes, size: int) -> bytes:
    member = tarfile.TarInfo("x")
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


def long_head(kind: bytes) -> bytes:
    return compressed(iter([head(kind, GIB), *[bytes(2**20)] * 1024]))


def many_members() -> bytes:
    return compressed(iter([head(tarfile.REGTYPE, 0) * 10_000] * 100))


def sparse() -> bytes:
    block = bytearray(head(tarfile.GNUTYPE_SPARSE, 0))
    block[483:495] = b"7" * 11 + b"\0"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return compressed(iter([bytes(block)]))


def sparse_by_pax() -> bytes:
    member = tarfile.TarInfo("x")
    member.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(2**50), "GNU.sparse.name": "x"}
    return compressed(iter([member.tobuf(tarfile.PAX_FORMAT), bytes(1024)]))


DATA: dict[str, Callable[[], bytes]] = {
    "long name": lambda: long_head(tarfile.GNUTYPE_LONGNAME), "long link": lambda: long_head(tarfile.GNUTYPE_LONGLINK),
    "pax header": lambda: long_head(tarfile.XHDTYPE), "global pax header": lambda: long_head(tarfile.XGLTYPE),
    "a million members": many_members, "sparse": sparse, "sparse by pax": sparse_by_pax}

_READ = """
import resource, sys
from ondemand_pkg.formats import read_deb
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open(sys.argv[1], "rb") as stream:
    try:
        list(read_deb.files(stream))
    except ValueError as error:
        print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("data", DATA)
def test_an_archive_that_unfolds_to_gigabytes_of_heads_is_refused(tmp_path: Path, data: str) -> None:
    members = [("debian-binary", b"2.0\n"), ("control.tar", tar_packed([("./control", CONTROL)])), ("data.tar.xz", DATA[data]())]
    path = tmp_path / "x.deb"
    path.write_bytes(ar_packed(members, 0))
    assert path.stat().st_size < 2**20
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", _READ, path], capture_output=True, text=True, check=True)
    said, used = done.stdout.splitlines()
    assert said.startswith(("its data.tar is damaged", "it has "))
    assert time.monotonic() - begin < 30 and int(used) < 100 * 1024  # KiB; the whole program may wait for other tests


def test_a_payload_with_more_files_than_its_header_is_refused() -> None:
    found = read_rpm.header(packed(RPM, package("rpm")))
    stream = io.BytesIO()
    archive = cpio.Writer(stream, 0)
    for number in range(1000):
        archive.add(f"./{number}", 0o100644, 0, io.BytesIO())
    archive.close()
    with pytest.raises(ValueError, match="more files than its header"):
        list(read_rpm.files(found, io.BytesIO(lzma.compress(stream.getvalue()))))


@pytest.mark.parametrize("cut", [1, 100, 600, 1500])
@pytest.mark.parametrize("read", [read_deb.read, lambda stream: list(read_deb.files(stream))], ids=["read", "files"])
def test_a_truncated_archive_is_told_by_who_reads_its_content(read: Callable[[io.BytesIO], object], cut: int) -> None:
    data = tar_packed([("./etc/x", b"x" * 2000)]).rstrip(b"\0")[:-cut]
    with pytest.raises(ValueError, match=r"data\.tar is damaged"):
        read(io.BytesIO(foreign_deb(CONTROL, data)))


@pytest.mark.parametrize("date", ["Mon, 01 Jan 99999 00:00:00 +0000", "", "Mon, 01 Jan 2020 00:00:00 +9999999999", "x" * 10_000])
def test_a_date_of_a_changelog_that_is_none_is_told(date: str) -> None:
    whole = package("deb")
    text = gzip.compress(f"x (1-1) unstable; urgency=low\n\n  * x\n\n -- x <x@x>  {date}\n".encode())
    entries = tuple(dataclasses.replace(entry, data=text) if entry.path.endswith("changelog.Debian.gz") else entry
                    for entry in whole.entries)
    with pytest.raises(ValueError, match="its changelog has an invalid date"):
        DEB.read(io.BytesIO(packed(DEB, dataclasses.replace(whole, entries=entries))))


def test_a_header_that_tells_of_more_than_the_file_has_is_told() -> None:
    front = b"\xed\xab\xee\xdb" + bytes(92) + bytes.fromhex("8eade80100000000") + struct.pack(">II", 0xFFFF, 256 * 2**20)
    with pytest.raises(ValueError, match="its header is truncated"):
        read_rpm.read(io.BytesIO(front))
    with pytest.raises(ValueError, match="its header is truncated"):
        rpmheader.unpack(front[96:], 0, Tag)


@pytest.mark.parametrize(("kind", "packer"), [
    ("xz", lzma.compress), ("gzip", gzip.compress), ("lzma", lambda data: lzma.compress(data, lzma.FORMAT_ALONE))])
def test_every_kind_of_compression_has_its_bound(kind: str, packer: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ValueError, match=f"its {kind} data unpacks to more than 16 MiB"):
        xz.decompress(packer(bytes(17 * 2**20)), kind)


# --- declarations and images -------------------------------------------------------------------------------------

BASE = '[container.{}]\nimage = "x:1"\nversion = "1"\nports = ["{}:80"]\n'


def faults(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "x.toml"
    path.write_text(text)
    try:
        reader.read([str(path)])
    except DeclarationError as error:
        return [str(fault).removeprefix(f"{path}:") for fault in error.faults]
    return []


@pytest.mark.parametrize("line", ["cpus = {}", "release = {}", 'memory = "{}m"', 'idle = "{}s"', 'stop_timeout = "{}s"', "x = {}",
                                  'ready = {{ http = "/", status = {} }}'])
def test_a_number_of_thousands_of_digits_is_told(tmp_path: Path, line: str) -> None:
    for digits in (4000, 5000):
        (fault,) = faults(tmp_path, BASE.format("a", 80) + line.format("9" * digits) + "\n")
        assert "set_int_max_str_digits" not in fault


def test_a_version_that_fits_no_file_name_is_told(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, BASE.format("a", 80).replace('"1"', f'"{"1" * 240}"'))
    assert "up to 100 characters" in fault


@pytest.mark.parametrize("item", ['"ALL"', "'''\nALL'''", '"\\"]"', '"""\n]""", # ]\n"ALL"'])
def test_a_long_array_with_one_fault_is_read_in_one_go(tmp_path: Path, item: str) -> None:
    begin = time.monotonic()
    text = BASE.format("a", 80) + "labels = { a = '''\n[''' }\ncap_drop = [ # ]\n" + f"  {item},\n" * 5_000
    found = faults(tmp_path, text + "7]\n")
    last = [fault for fault in found if "found 7;" in fault]
    assert len(last) == 1 and last[0].startswith(f"{text.count(chr(10)) + 1}: container.a.cap_drop[")
    assert time.monotonic() - begin < 10


def test_an_array_of_nothing_but_faults_tells_the_line_of_each(tmp_path: Path) -> None:
    begin = time.monotonic()
    numbers = "".join(f"{number},\n" for number in range(20_000))
    found = faults(tmp_path, BASE.format("a", 80) + "cap_drop = [\n" + numbers + "]\n")
    assert len(found) == 20_000 and found[-1].startswith("20005: container.a.cap_drop[19999]: found 19999")
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("end", ["", "0"])
def test_a_chain_of_thousands_of_requirements_is_followed(tmp_path: Path, end: str) -> None:
    begin = time.monotonic()
    last = f'requires = ["a{end}"]\n' if end else ""
    text = "".join(BASE.format(f"a{number}", 1000 + number) + f'requires = ["a{number + 1}"]\n' for number in range(3000))
    found = faults(tmp_path, text + BASE.format("a3000", 9000) + last)
    assert len(found) == len(end)
    if end:
        assert "a0 -> a1 -> a2" in found[0] and "(2990 more) -> a3000 -> a0" in found[0]
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize("ports", [{"http/tcp": {}}, {"9" * 5000: {}}, {"": {}}, {"-1/tcp": {}}, {"8080/tcp": {}, "x": {}},
                                   {"٣/tcp": {}}])
def test_a_port_of_an_image_that_is_no_number_is_passed_over(ports: dict[str, object]) -> None:
    attributes = {"Config": {"ExposedPorts": ports}}
    expected = ["8080:8080"] if "8080/tcp" in ports else ["8080:80"]
    assert image.draft_of("web:1", attributes).values["ports"] == expected
