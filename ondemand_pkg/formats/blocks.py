"""Archives that are read in blocks.

Knows how much of a package is in memory at once; hides whether a content was small enough to be kept.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, Protocol

from ondemand_pkg.package import BLOCK, Stored

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, SupportsWrite, WriteableBuffer

LARGEST_KEPT = 64 * 2**20  # bytes of all contents of one package that are kept
_LARGEST_FILE = BLOCK  # bytes of one of them; what is read in a package of this project is smaller


class Readable(Protocol):
    """What can be read from beginning to end."""

    def read(self, size: int, /) -> bytes | None:
        """Return up to so many bytes, none at the end."""


def blocks(stream: Readable, size: int = BLOCK) -> Iterator[bytes]:
    """Yield what is left in a stream."""
    while block := stream.read(size):
        yield block


def drain(stream: Readable) -> None:
    """Read a stream to its end, where it tells of damage."""
    for _ in blocks(stream):
        pass


def sha256(stream: Readable) -> str:
    """Return the SHA-256 of what is left in a stream, in hexadecimal digits."""
    digest = hashlib.sha256()
    for block in blocks(stream):
        digest.update(block)
    return digest.hexdigest()


class Part(io.RawIOBase):
    """The next bytes of a stream, as a stream of their own.

    Raises ValueError, which says that ``what`` is truncated, where the stream ends before.
    """

    def __init__(self, stream: BinaryIO, size: int, what: str) -> None:
        self._stream = stream
        self._left = size
        self._what = what

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read into a buffer; return how many bytes."""
        view = memoryview(buffer)[:self._left]
        if not view:
            return 0
        block = self._stream.read(len(view))
        if not block:
            raise ValueError(f"{self._what} is truncated")
        view[:len(block)] = block
        self._left -= len(block)
        return len(block)


class Digested(io.RawIOBase):
    """A stream that is read through another one, and knows the SHA-256 of what was read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read into a buffer; return how many bytes."""
        view = memoryview(buffer)
        block = self._stream.read(len(view))
        self._digest.update(block)
        view[:len(block)] = block
        return len(block)

    def sha256(self) -> str:
        """Return the digest, in hexadecimal digits."""
        return self._digest.hexdigest()


class Measured(io.RawIOBase):
    """A stream that passes on what is written to it, and knows size in bytes and digests of that."""

    def __init__(self, stream: SupportsWrite[bytes], *algorithms: str) -> None:
        self._stream = stream
        self._digests = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
        self.size = 0

    def write(self, data: ReadableBuffer, /) -> int:
        """Write data; return how many bytes."""
        size = memoryview(data).nbytes
        for digest in self._digests.values():
            digest.update(data)
        self._stream.write(bytes(data))
        self.size += size
        return size

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self.size

    def hexdigest(self, algorithm: str) -> str:
        """Return a digest, in hexadecimal digits."""
        return self._digests[algorithm].hexdigest()


class Keeper:
    """The contents of one package: small ones are kept, of the others and of too many the digests alone."""

    def __init__(self) -> None:
        self._left = LARGEST_KEPT

    def keep(self, content: Readable, size: int) -> tuple[bytes, Stored | None]:
        """Return a content of so many bytes, or what it is stored as."""
        if size <= min(_LARGEST_FILE, self._left):
            self._left -= size
            return b"".join(blocks(content)), None
        md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        for block in blocks(content):
            md5.update(block)
            sha256.update(block)
        return b"", Stored(None, size, md5.hexdigest(), sha256.hexdigest())
