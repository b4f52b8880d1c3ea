"""The compression that both formats use.

Knows the one setting of xz that gives the same bytes on every host at a good speed, and how much a foreign archive may
unfold to; hides the encoder's filters.
"""

from __future__ import annotations

import io
import lzma
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, SupportsWrite

# What level 0 asks for; the files are small, and the highest levels win 7 % of a few KiB for four times the time.
LEVEL = 0
_LARGEST_DICTIONARY = 2**18
_SMALLEST_DICTIONARY = 2**12  # the format's own minimum (xz(1), "dict=SIZE")
LARGEST_CONTENT = 256 * 2**20  # bytes; a package of this project has a few hundred KiB
_DECODER_MEMORY = 2**27  # bytes; what xz -9 asks for, and more


class Writer(io.RawIOBase):
    """A stream that compresses what is written to it into another one, to the same bytes in whatever pieces it comes.

    xz and not gzip, because the hosts' zlibs (zlib, zlib-ng) give different bytes for the same input, the .deb tools
    expect it, and rpm reads it everywhere.  A dictionary no larger than the data spares most of the encoder's time,
    which goes into clearing its tables; so what comes first waits until it is known to be larger, or complete.
    """

    def __init__(self, stream: SupportsWrite[bytes]) -> None:
        self._stream = stream
        self._waiting: bytearray | None = bytearray()
        self._compressor: lzma.LZMACompressor
        self._written = 0

    def write(self, data: ReadableBuffer, /) -> int:
        """Take bytes; return how many."""
        size = memoryview(data).nbytes
        self._written += size
        if self._waiting is None:
            self._stream.write(self._compressor.compress(data))
        else:
            self._waiting += data
            if len(self._waiting) > _LARGEST_DICTIONARY:
                self._begin(self._waiting)
        return size

    def tell(self) -> int:
        """Return how many bytes were taken."""
        return self._written

    def close(self) -> None:
        """Write what is left; the stream below stays open."""
        if not self.closed:
            if self._waiting is not None:
                self._begin(self._waiting)
            self._stream.write(self._compressor.flush())
        super().close()

    def _begin(self, waiting: bytearray) -> None:
        dictionary = _SMALLEST_DICTIONARY
        while dictionary < min(len(waiting), _LARGEST_DICTIONARY):
            dictionary *= 2
        self._compressor = lzma.LZMACompressor(lzma.FORMAT_XZ, lzma.CHECK_CRC64, filters=[
            {"id": lzma.FILTER_LZMA2, "preset": LEVEL, "dict_size": dictionary}])
        self._stream.write(self._compressor.compress(waiting))
        self._waiting = None


def decompress(data: bytes, kind: str) -> bytes:
    """Return what was compressed with ``kind``: "xz", "lzma", "gzip", or "" for nothing.

    Raises ValueError for damaged data, for another kind, and where more than ``LARGEST_CONTENT`` bytes come out.
    """
    if not kind:
        return data
    try:
        if kind in ("xz", "lzma"):
            unpacker = lzma.LZMADecompressor(memlimit=_DECODER_MEMORY)
            content = unpacker.decompress(data, LARGEST_CONTENT)
            complete = unpacker.eof
        elif kind == "gzip":
            inflater = zlib.decompressobj(wbits=31)
            content = inflater.decompress(data, LARGEST_CONTENT)
            complete = inflater.eof
        else:
            raise ValueError(f"it is compressed with {kind}; only xz, gzip and no compression can be read")
    except (lzma.LZMAError, zlib.error) as error:
        raise ValueError(f"its {kind} data is damaged: {error}") from None
    if not complete:
        raise ValueError(f"its {kind} data breaks off or holds more than {LARGEST_CONTENT >> 20} MiB")
    return content
