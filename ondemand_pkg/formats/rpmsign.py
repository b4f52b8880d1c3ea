"""Signatures in .rpm files.

Knows what a signature of a package covers and where it stands; hides the signature header behind ``signed_part``,
``signature`` and ``sign``.  Each takes what stands before the payload (``read_rpm.front``); with the payload behind it, that
stays behind it.
"""

from __future__ import annotations

from ondemand_pkg.formats import read_rpm, rpmheader
from ondemand_pkg.formats.rpm import LEAD
from ondemand_pkg.formats.rpmheader import SignatureTag, Value

_BY_NUMBER = {tag.number: tag for tag in SignatureTag}
_SIGNATURES = (SignatureTag.RSA, SignatureTag.DSA, SignatureTag.PGP, SignatureTag.GPG)


def signed_part(data: bytes) -> bytes:
    """Return what a signature of an .rpm covers: the header, which holds the digest of the payload.

    Raises ValueError where the header holds none, as before rpm 4.14: a signature of it would say nothing of the payload.
    """
    header = read_rpm.header(data)
    if not header.list(rpmheader.Tag.PAYLOADDIGEST):
        raise ValueError("its header does not contain a digest of the payload; build it with rpm 4.14 or newer")
    return data[header.start:header.end]


def signature(data: bytes) -> bytes:
    """Return the OpenPGP signature of an .rpm, empty where there is none."""
    value = read_rpm.header(data).signature.get(SignatureTag.RSA.number, b"")
    return value if isinstance(value, bytes) else b""


def sign(data: bytes, openpgp: bytes) -> bytes:
    """Return an .rpm with a binary OpenPGP signature of its ``signed_part``, by an RSA key, in place of any other.

    The room that rpmbuild reserves shrinks by as much, so that the file keeps its size where it is enough.  Raises
    ValueError for an .rpm whose signature header holds what isn't known here.
    """
    header = read_rpm.header(data)
    unknown = sorted(set(header.signature) - set(_BY_NUMBER))
    if unknown:
        raise ValueError(f"its signature header contains the unknown tag {unknown[0]}")
    values: dict[SignatureTag, Value] = {_BY_NUMBER[number]: value for number, value in header.signature.items()
                                         if _BY_NUMBER[number] not in _SIGNATURES}
    values[SignatureTag.RSA] = openpgp
    values.pop(SignatureTag.RESERVEDSPACE, None)
    without = _packed(values)
    room = header.start - LEAD - len(without) - 16  # an index entry is of 16 bytes
    if room > 0:
        # Padding may be up to seven bytes: as much room as gives the old size.
        values[SignatureTag.RESERVEDSPACE] = bytes(room)
        while len(_packed(values)) > header.start - LEAD and room > 1:
            room -= 1
            values[SignatureTag.RESERVEDSPACE] = bytes(room)
    return data[:LEAD] + _packed(values) + data[header.start:]


def _packed(values: dict[SignatureTag, Value]) -> bytes:
    packed = rpmheader.pack(values)
    return packed + bytes(-len(packed) % 8)
