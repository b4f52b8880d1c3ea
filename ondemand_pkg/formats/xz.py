"""The compression that both formats use.

Knows the one setting of xz that gives the same bytes on every host at a good speed; hides the encoder's filters.
"""

from __future__ import annotations

import lzma

# What level 0 asks for; the files are small, and the highest levels win 7 % of a few KiB for four times the time.
LEVEL = 0
_LARGEST_DICTIONARY = 2**18
_SMALLEST_DICTIONARY = 2**12  # the format's own minimum (xz(1), "dict=SIZE")


def compress(data: bytes) -> bytes:
    """Return data as an .xz file.

    xz and not gzip, because the hosts' zlibs (zlib, zlib-ng) give different bytes for the same input, the .deb tools
    expect it, and rpm reads it everywhere.  A dictionary no larger than the data spares most of the encoder's time,
    which goes into clearing its tables.
    """
    dictionary = _SMALLEST_DICTIONARY
    while dictionary < min(len(data), _LARGEST_DICTIONARY):
        dictionary *= 2
    return lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC64,
                         filters=[{"id": lzma.FILTER_LZMA2, "preset": LEVEL, "dict_size": dictionary}])
