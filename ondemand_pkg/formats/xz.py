"""The compression that both formats use.

Knows the one setting of xz that gives the same bytes on every host at a good speed, and how much a foreign archive may
unfold to; hides the encoder's filters.
"""

from __future__ import annotations

import io
import lzma
import zlib
from typing import TYPE_CHECKING, BinaryIO

from ondemand_pkg.formats.blocks import blocks

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, SupportsWrite, WriteableBuffer

# The files are small: the highest level makes them a fifth smaller in five times the time.  MF_HC4, the match finder of levels 2
# and 3, takes the time of level 0's own and makes them 4 % smaller.
LEVEL = 0
_LARGEST_DICTIONARY = 2**18
_SMALLEST_DICTIONARY = 2**12  # the format's own minimum (xz(1), "dict=SIZE")
LARGEST_CONTENT = 10**10  # bytes; more than either format's writer takes
LARGEST_SMALL = 16 * 2**20  # bytes of what is kept in memory, such as a control archive
_INPUT = 2**16  # bytes of compressed data that are in memory at once
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
            {"id": lzma.FILTER_LZMA2, "preset": LEVEL, "mf": lzma.MF_HC4, "dict_size": dictionary}])
        self._stream.write(self._compressor.compress(waiting))
        self._waiting = None


class Reader(io.RawIOBase):
    """A stream of what another one holds compressed with ``kind``: "xz", "lzma", "gzip", or "" for nothing.

    Raises ValueError for damaged data, for another kind, and where more than ``largest`` bytes come out.
    """

    def __init__(self, stream: BinaryIO, kind: str, largest: int = LARGEST_CONTENT) -> None:
        if kind not in ("", "xz", "lzma", "gzip"):
            raise ValueError(f"it is compressed with {kind}; only xz, gzip and uncompressed data can be read")
        self._stream = stream
        self._kind = kind
        self._largest = self._left = largest
        self._xz = lzma.LZMADecompressor(memlimit=_DECODER_MEMORY)
        self._gzip = zlib.decompressobj(wbits=31)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read into a buffer; return how many bytes."""
        view = memoryview(buffer)
        try:
            if not self._kind:
                data = self._stream.read(len(view))
            else:
                data = self._inflated(len(view)) if self._kind == "gzip" else self._decoded(len(view))
        except (lzma.LZMAError, zlib.error) as error:
            raise ValueError(f"its {self._kind} data is damaged: {error}") from None
        self._left -= len(data)
        if self._left < 0:
            raise ValueError(f"its {self._kind or 'uncompressed'} data unpacks to more than {self._largest >> 20} MiB")
        view[:len(data)] = data
        return len(data)

    def _decoded(self, size: int) -> bytes:
        data = b""
        while not data and not self._xz.eof:
            data = self._xz.decompress(self._more() if self._xz.needs_input else b"", size)
        return data

    def _inflated(self, size: int) -> bytes:
        data = b""
        while not data and not self._gzip.eof:
            data = self._gzip.decompress(self._gzip.unconsumed_tail, size) or self._gzip.decompress(self._more(), size)
        return data

    def _more(self) -> bytes:
        data = self._stream.read(_INPUT)
        if not data:
            raise ValueError(f"its {self._kind} data is truncated")
        return data


def decompress(data: bytes, kind: str) -> bytes:
    """Return what was compressed, up to ``LARGEST_SMALL`` bytes; raises ValueError as ``Reader`` does."""
    return b"".join(blocks(Reader(io.BytesIO(data), kind, LARGEST_SMALL)))
