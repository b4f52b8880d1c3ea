"""A signature goes into an .rpm without a change of anything else."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from ondemand_pkg.contents import package_of
from ondemand_pkg.formats import RPM, read_rpm, rpm, rpmsign
from ondemand_pkg.model import Container, Port, Resolved, TcpAddress

PACKAGE = package_of.package(Resolved(Container("nginx", "nginx:1.27", "1.27.0", (Port(TcpAddress(None, 80), 80),))), RPM, 0)
STREAM = io.BytesIO()
rpm.write(PACKAGE, STREAM)
DATA = STREAM.getvalue()


@given(st.binary(min_size=1, max_size=6000))
def test_any_signature_is_carried_and_the_package_stays(signature: bytes) -> None:
    signed = rpmsign.sign(DATA, signature)
    assert rpmsign.signature(signed) == signature and rpmsign.signed_part(signed) == rpmsign.signed_part(DATA)
    assert read_rpm.read(io.BytesIO(signed)) == read_rpm.read(io.BytesIO(DATA))
    header, before = read_rpm.header(signed), read_rpm.header(DATA)
    assert header.start % 8 == before.start % 8 == 0 and signed[header.start:] == DATA[before.start:]


@given(st.binary(min_size=200, max_size=1200))
def test_the_reserved_room_keeps_the_size(signature: bytes) -> None:
    assert len(rpmsign.sign(DATA, signature)) == len(DATA)


def test_signing_again_takes_the_place_of_the_first() -> None:
    assert rpmsign.sign(rpmsign.sign(DATA, b"first" * 100), b"second" * 90) == rpmsign.sign(DATA, b"second" * 90)


def test_an_unsigned_package_has_no_signature() -> None:
    assert rpmsign.signature(DATA) == b""
