"""Signatures put into .rpm files.

Knows that a file is signed in place where its room is enough, and how many are read at once; hides gpg and the signature header.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import read_rpm, rpmsign
from ondemand_pkg.package import BLOCK
from ondemand_pkg.repository.signing import signer

_BATCH = 64  # .rpms whose headers are in memory at once


def sign_files(files: Mapping[str, Path], key: str) -> None:
    """Sign .rpm files by a key of gpg's, each under the name by which an error speaks of it.  Raises OndemandError."""
    todo = list(files.items())
    with signer(key, len(todo)) as signed:
        for start in range(0, len(todo), _BATCH):
            batch = todo[start:start + _BATCH]
            fronts, parts = [], []
            for name, file in batch:
                with _named(name), file.open("rb") as stream:
                    fronts.append(read_rpm.front(stream))
                    parts.append(rpmsign.signed_part(fronts[-1]))
            for (name, file), front, signature in zip(batch, fronts, signed(parts), strict=True):
                with _named(name):
                    _replace_front(file, front, rpmsign.sign(front, signature))


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise OndemandError(f"{name}: can't be signed: {error}") from None


def _replace_front(file: Path, old: bytes, new: bytes) -> None:
    """Replace what is in front of the payload of an .rpm."""
    with file.open("r+b") as stream:
        if len(new) == len(old):
            stream.write(new)
            return
        stream.seek(len(old))
        with file.with_suffix(".signed").open("wb") as longer:
            longer.write(new)
            shutil.copyfileobj(stream, longer, BLOCK)
    os.replace(file.with_suffix(".signed"), file)
