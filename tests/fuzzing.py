"""Inputs that nobody foresaw, for every reader of what others wrote.

Knows for each reader what its inputs are made of, what it may raise, and how much time and memory an input may take; hides
hypothesis, which breeds the inputs from a corpus and makes smaller what breaks a reader.  Used by tools/fuzz and by a short test.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import lzma
import signal
import struct
import sys
import tempfile
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from archives import ar_packed, tar_packed
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from ondemand_pkg.declaration import reader as declarations
from ondemand_pkg.declaration.fields import FIELDS
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import ar, read_deb, read_rpm, rpmheader
from ondemand_pkg.formats.rpm import LEAD
from ondemand_pkg.importing import compose, env_file, interpolation, quadlet_project
from ondemand_pkg.repository import verify
from ondemand_pkg.repository.inspect import inspect
from ondemand_pkg.repository.state import State

CORPUS = Path(__file__).parent / "data/fuzz"
SECONDS, BYTES = 2.0, 200 * 2**20  # that each MiB of an input may take; what is smaller counts as one


_SHRINKING = 30.0  # seconds


class Broken(AssertionError):
    """A reader did with an input what it must not do."""


@dataclass(frozen=True)
class Reader:
    """A reader: ``read`` takes an input, and raises one of ``told`` where it is none.

    ``tokens`` are pieces that mean something to it; ``packed`` makes an input of one whose inner part was changed.
    """

    name: str
    read: Callable[[bytes], object]
    told: tuple[type[Exception], ...]
    tokens: tuple[bytes, ...] = ()
    packed: Callable[[bytes, bytes], bytes] | None = None


# --- the readers -------------------------------------------------------------------------------------------------


def _package(read: Callable[[io.BytesIO], object], name: str) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        with contextlib.suppress(ValueError):
            read(io.BytesIO(data))
        with contextlib.suppress(OndemandError):
            inspect(Path(name), io.BytesIO(data))
    return run


def _text_file(read: Callable[[str], object], name: str) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / name
            path.write_bytes(data)
            read(str(path))
    return run


def _environment(data: bytes) -> None:
    missing = set[str]()
    env_file.read(data.decode("utf-8", "replace"), {}, missing)
    env_file.read_raw(data.decode("utf-8", "replace"))
    interpolation.interpolate(data.decode("utf-8", "replace"), {"A": "b"}, missing)


def _suite(release: bytes, packages: bytes) -> None:
    """Verify a suite whose signatures are good and whose files have the digests that are told of them."""
    with tempfile.TemporaryDirectory() as directory:
        top = Path(directory) / "dists/stable"
        (top / "main/binary-all").mkdir(parents=True)
        listed = f" {hashlib.sha256(packages).hexdigest()} {len(packages)} main/binary-all/Packages\n".encode()
        release = release.replace(b"SHA256:\n", b"SHA256:\n" + listed, 1)
        (top / "main/binary-all/Packages").write_bytes(packages)
        (top / "Release").write_bytes(release)
        (top / "Release.gpg").write_bytes(b"")
        (top / "InRelease").write_bytes(b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: x\n\n" + release
                                        + b"\n-----BEGIN PGP SIGNATURE-----\n")
        with mock.patch("ondemand_pkg.repository.gpg.good_signers", return_value={"A"}):
            list(verify._Checker(Path(directory), State(keys=["A"], suites={"stable": set()}))._apt("stable"))


def _packages(data: bytes) -> None:
    _suite(b"SHA256:\n", data)


def _release(data: bytes) -> None:
    _suite(data, b"")


# --- what lies within an archive ---------------------------------------------------------------------------------


def _deb(data: bytes, inner: bytes) -> bytes:
    """Return a .deb with another control file, or another data archive where it looks like one."""
    control, tree = b"Package: x\nVersion: 1-1\nArchitecture: all\nDescription: x\n", tar_packed([("./x", b"x")])
    if len(inner) > 300 and inner[257:262] == b"ustar":
        tree = inner
    else:
        control = inner
    return ar_packed([("debian-binary", b"2.0\n"), ("control.tar", tar_packed([("./control", control)])), ("data.tar", tree)], 0)


def _rpm(data: bytes, inner: bytes) -> bytes:
    """Return an .rpm with another payload, or another header: without a digest of it, which would find each change."""
    sound = (CORPUS / "rpm/sound").read_bytes()
    found = read_rpm.header(sound)
    header, payload = sound[found.start:found.end], sound[found.end:]
    if inner.startswith(b"070701"):
        payload = lzma.compress(inner)
        header = rpmheader.pack({tag: found.values[tag.number] for tag in rpmheader.Tag if tag.number in found.values
                                 and tag is not rpmheader.Tag.PAYLOADDIGEST})
    else:
        header = inner
    signature = bytes.fromhex("8eade80100000000") + struct.pack(">IIIIII", 1, 4, 1000, 4, 0, 1) + bytes(4)
    return sound[:LEAD] + signature + bytes(-len(signature) % 8) + header + payload


def _inner(name: str, data: bytes) -> Iterator[bytes]:
    """Yield what lies within an archive and can be changed by itself."""
    with contextlib.suppress(ValueError):
        if name == "deb":
            stream = io.BytesIO(data)
            yield b"Package: x\nVersion: 1-1\nArchitecture: all\nDepends: a (>= 1) | b\nDescription: x\n y\n .\n z\n"
            yield tar_packed([("./etc/x", b"x" * 600), ("./" + "y" * 200, b"")])
            yield from (member.open(stream).read() for member in ar.members(stream) if member.name == "data.tar")
        elif name == "rpm":
            found = read_rpm.header(data)
            yield data[found.start:found.end]
            with contextlib.suppress(lzma.LZMAError):
                yield lzma.decompress(data[found.end:])


READERS = {reader.name: reader for reader in (
    Reader("deb", _package(read_deb.read, "x_1-1_all.deb"), (), (
        b"Package: ", b"package:", b"\n\n", b"\n .\n", b"Depends: ", b" (>= 1)", b"|", b",", b"\r", b"-1", b"9" * 5000, b"ustar",
        b"`\n", b"././@LongLink", b"\x80" + b"\xff" * 11, b"17 path=../../x\n", b"GNU.sparse.size=99999999\n"), _deb),
    Reader("rpm", _package(read_rpm.read, "x-1-1.noarch.rpm"), (), (
        bytes.fromhex("8eade801"), *(struct.pack(">I", number) for number in (0, 1, 0x10000, 0x7fffffff, 0xffffffff)),
        *(struct.pack(">II", tag.number, tag.type) for tag in rpmheader.Tag), b"070701", b"TRAILER!!!\0", b"ffffffff"), _rpm),
    Reader("declaration", _text_file(lambda path: declarations.read([path]), "x.toml"), (OndemandError,), (
        b"[container.x]\n", b"[package]\n", b"image = ", b'"""', b"'''", b"[", b"]", b"{", b"}", b"= ", b"9" * 5000, b"#", b"\n",
        *(f"{field.key} = ".encode() for field in FIELDS), b"1979-05-27", b"inf", b"nan",
        b"true", b'"a"', b"\\U0001F600")),
    Reader("compose", _text_file(lambda path: compose.read(path, {}, allow_outside=False), "compose.yaml"), (OndemandError,), (
        b"services:\n", b"  x:\n", b"    image: y\n", b"    ports: [80:80]\n", b"&a ", b"*a", b"<<: ", b"- ", b"? ", b": ",
        b"!!int ", b"!!binary ", b"${A:-b}", b"${", b"|\n", b">\n", b"9" * 5000, b".inf", b"{", b"[", b"    deploy:\n",
        b"    healthcheck:\n", b"      interval: ", b"    extends: ", b"    volumes: ", b"    environment: ", b"null",
        b"~", b"1e999")),
    Reader("quadlet", _text_file(quadlet_project.read, "x.container"), (OndemandError,), (
        b"[Container]\n", b"[Service]\n", b"Image=", b"PublishPort=", b"Volume=", b"Environment=", b"HealthCmd=", b"\\\n",
        b"%n", b"%%", b'"', b"'", b"=", b"\n", b"9" * 5000)),
    Reader("environment", _environment, (ValueError, OndemandError), (
        b"A=", b"export ", b"${A:-", b"}", b"'", b'"', b"\\", b"#", b"$")),
    Reader("release", _release, (OndemandError,), (
        b"SHA256:\n", b"0" * 64, b" 1 ", b"main/binary-all/Packages", b"../", b"/dev/zero", b"Valid-Until: ", b"Date: ", b"\n",
        b"\r", b"Thu, 01 Jan 1970 00:00:00 UTC", b"99999", b"+9999", b"\0", b"9" * 5000)),
    Reader("packages", _packages, (OndemandError,), (
        b"Package: x\n", b"Filename: ", b"pool/x", b"\n\n", b"\n ", b":", b"SHA256: ", b"Size: ", b"\r", b"\0", b"9" * 5000)))}


# --- one input ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _ended(reader: Reader, data: bytes, seconds: float) -> Iterator[None]:
    """Raise Broken within after so many seconds of this process's own."""
    def over(*_: object) -> None:
        raise Broken(f"{reader.name}: no end after {seconds:.0f} s for {len(data)} bytes")

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds, 1)  # again after a second: in the collector of garbage an exception is lost
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def tried(reader: Reader, data: bytes) -> None:
    """Read an input; raises Broken where that ends in another error than it may, or takes too long or too much memory."""
    allowance = max(1.0, len(data) / 2**20)
    tracemalloc.reset_peak()
    before, seconds = tracemalloc.get_traced_memory()[0], _read(reader, data, allowance)
    peak = tracemalloc.get_traced_memory()[1] - before
    if peak > BYTES * allowance:
        raise Broken(f"{reader.name}: {peak >> 20} MiB for {len(data)} bytes")
    if seconds > SECONDS * allowance:  # of which the count of memory takes most
        tracemalloc.stop()
        seconds = _read(reader, data, allowance)
        tracemalloc.start()
    if seconds > SECONDS * allowance:
        raise Broken(f"{reader.name}: {seconds:.1f} s for {len(data)} bytes")


def _read(reader: Reader, data: bytes, allowance: float) -> float:
    """Read an input; return in how many seconds; raises Broken for an error that it may not end in."""
    begin = time.process_time()
    try:
        with _ended(reader, data, 10 * SECONDS * allowance):
            reader.read(data)
    except Broken:
        raise
    except reader.told as error:
        if isinstance(error, UnicodeError):
            raise Broken(f"{reader.name}: {error!r} says nothing to a user") from error
    except Exception as error:
        raise Broken(f"{reader.name}: {error!r}\n{traceback.format_exc(limit=-4)}") from error
    return time.process_time() - begin


def corpus(reader: Reader) -> list[Path]:
    """Return the kept inputs of a reader."""
    return sorted((CORPUS / reader.name).iterdir())


# --- many --------------------------------------------------------------------------------------------------------


def _changed(draw: st.DrawFn, data: bytes, others: list[bytes], tokens: tuple[bytes, ...]) -> bytes:
    """Return data after some changes: bytes and tokens put in or over, parts dropped, moved, multiplied, taken from another."""
    for _ in range(draw(st.integers(0, 5))):
        begin = draw(st.integers(0, len(data)))
        end = min(len(data), begin + draw(st.integers(0, 40) | st.integers(0, len(data))))
        kind = draw(st.sampled_from(["token", "bytes", "drop", "again", "splice", "over"]))
        if kind == "token" and tokens:
            data = data[:begin] + draw(st.sampled_from(tokens)) + data[begin:]
        elif kind == "over" and tokens:
            token = draw(st.sampled_from(tokens))
            data = data[:begin] + token + data[begin + len(token):]
        elif kind == "drop":
            data = data[:begin] + data[end:]
        elif kind == "again":
            data = data[:begin] + data[begin:end] * draw(st.integers(2, 300)) + data[end:]
            data = data[:2**20]
        elif kind == "splice":
            other = draw(st.sampled_from(others))
            cut = draw(st.integers(0, len(other)))
            data = data[:begin] + other[cut:cut + end - begin] + data[end:]
        else:
            new = draw(st.binary(max_size=8))
            data = data[:begin] + new + data[begin + len(new):]
    return data


@st.composite
def inputs(draw: st.DrawFn, reader: Reader, kept: list[bytes]) -> bytes:
    """Inputs bred from a corpus, as a whole or in what lies within."""
    data = draw(st.sampled_from(kept))
    within = list(_inner(reader.name, data)) if reader.packed else []
    if reader.packed and within and draw(st.integers(0, 3)):
        part = draw(st.sampled_from(within))
        data = reader.packed(data, _changed(draw, part, within, reader.tokens))
        return data if draw(st.integers(0, 3)) else _changed(draw, data, kept, reader.tokens)
    return _changed(draw, data, kept, reader.tokens)


def run(reader: Reader, number: int, examples: int) -> bytes | None:
    """Try so many inputs that follow from a number; return the smallest that breaks the reader, None where none does."""
    kept = [path.read_bytes() for path in corpus(reader)]
    broken: list[bytes] = []
    reasons: list[str] = []
    until = [0.0]

    @seed(number)
    @settings(max_examples=examples, database=None, deadline=None, derandomize=False, suppress_health_check=list(HealthCheck),
              phases=(Phase.generate, Phase.shrink), print_blob=False)
    @given(inputs(reader, kept))
    def one(data: bytes) -> None:
        if broken and time.monotonic() > until[0] and data not in broken:
            return  # one that takes its time is not made smaller for hours
        try:
            tried(reader, data)
        except Broken as error:
            until[0] = until[0] or time.monotonic() + _SHRINKING
            broken.append(data)
            reasons.append(str(error))
            raise

    tracemalloc.start()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            one()
    except (Broken, Flaky):  # flaky: another time it took less
        smallest = min(range(len(broken)), key=lambda index: len(broken[index]))
        print(reasons[smallest], file=sys.stderr)
        return broken[smallest]
    finally:
        tracemalloc.stop()
    return None
