"""Large texts of which little changes, compressed.

Knows how to cut a list of entries so that a new entry changes one piece alone, and how independently compressed pieces
make one .gz and one .xz file that every reader takes; hides both formats.
"""

from __future__ import annotations

import hashlib
import lzma
import struct
import zlib
from collections.abc import Iterable, Mapping

from ondemand_pkg.frozen import frozen

_PIECE = 128  # entries in a piece, on average
_GZIP_HEAD = b"\x1f\x8b\x08\x00" + bytes(4) + b"\x00\xff"  # RFC 1952: no name, no time
_GZIP_END = b"\x03\x00"  # RFC 1951: an empty last block
_XZ_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 2**20}]
_XZ_FLAGS = b"\x00\x04"  # CRC64
_XZ_EDGE = 12  # bytes of a stream's header, and of its footer


@frozen
class Piece:
    """One piece, compressed: as a part of a deflate stream, and as a block of an .xz with its size before padding."""

    deflated: bytes
    block: bytes
    unpadded: int


@frozen
class Text:
    """A text, what it is compressed, and the pieces that it is made of by their digest."""

    plain: bytes
    gz: bytes
    xz: bytes
    pieces: Mapping[bytes, Piece]


def cut(entries: Iterable[tuple[str, bytes]]) -> list[bytes]:
    """Return the entries, each with a name, joined to pieces.

    Where a piece ends depends on the name of its last entry alone.
    """
    pieces, current = [], list[bytes]()
    for name, entry in entries:
        current.append(entry)
        if zlib.crc32(name.encode("utf-8", "surrogateescape")) % _PIECE == 0:
            pieces.append(b"".join(current))
            current = []
    if current:
        pieces.append(b"".join(current))
    return pieces


def compress(parts: Iterable[bytes], known: Mapping[bytes, Piece], xz: bool = True) -> Text:
    """Return the parts as one text, compressed; ``known`` holds, by digest, pieces that were compressed before.

    Without ``xz`` that form is left empty.
    """
    plain, checksum, pieces = [], 0, dict[bytes, Piece]()
    deflated, blocks, records = [_GZIP_HEAD], list[bytes](), list[tuple[int, int]]()
    for part in filter(None, parts):
        digest = hashlib.sha256(part).digest()
        piece = pieces[digest] = known.get(digest) or _piece(part, xz)
        plain.append(part)
        checksum = zlib.crc32(part, checksum)
        deflated.append(piece.deflated)
        blocks.append(piece.block)
        records.append((piece.unpadded, len(part)))
    text = b"".join(plain)
    deflated += [_GZIP_END, struct.pack("<II", checksum, len(text) & 0xFFFFFFFF)]
    return Text(text, b"".join(deflated), _xz_file(blocks, records) if xz else b"", pieces)


def _piece(part: bytes, xz: bool) -> Piece:
    deflater = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    # After a full flush the next piece begins at a whole byte and refers to nothing before it (zlib.h).
    deflated = deflater.compress(part) + deflater.flush(zlib.Z_FULL_FLUSH)
    if not xz:
        return Piece(deflated, b"", 0)
    stream = lzma.compress(part, lzma.FORMAT_XZ, lzma.CHECK_CRC64, filters=_XZ_FILTERS)
    (backward,) = struct.unpack_from("<I", stream, len(stream) - 8)
    index = len(stream) - _XZ_EDGE - (backward + 1) * 4
    # The index of one block: a zero, the number of records, then the block's two sizes.
    unpadded, _ = _number(stream, index + 2)
    return Piece(deflated, stream[_XZ_EDGE:index], unpadded)


# An .xz file (xz-file-format.txt, 2 to 4): header, any number of blocks, an index with a record for each, footer.
def _xz_file(blocks: Iterable[bytes], records: list[tuple[int, int]]) -> bytes:
    index = b"\0" + _as_number(len(records)) + b"".join(_as_number(a) + _as_number(b) for a, b in records)
    index += bytes(-len(index) % 4)
    index += struct.pack("<I", zlib.crc32(index))
    footer = struct.pack("<I", len(index) // 4 - 1) + _XZ_FLAGS
    return b"".join([b"\xfd7zXZ\0", _XZ_FLAGS, struct.pack("<I", zlib.crc32(_XZ_FLAGS)), *blocks, index,
                     struct.pack("<I", zlib.crc32(footer)), footer, b"YZ"])


def _as_number(value: int) -> bytes:
    """Return a number of variable length: seven bits a byte, lowest first (xz-file-format.txt, 1.2)."""
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _number(data: bytes, offset: int) -> tuple[int, int]:
    value = shift = 0
    while data[offset] & 0x80:
        value |= (data[offset] & 0x7F) << shift
        offset, shift = offset + 1, shift + 7
    return value | data[offset] << shift, offset + 1
