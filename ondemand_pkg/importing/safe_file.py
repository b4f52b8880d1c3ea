"""Where a written declaration goes.

Knows that nothing is written that `check` refuses, that no file is overwritten unless that is asked for, and that none is left
half-written; hides temporary files.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ondemand_pkg.declaration.reader import read_site
from ondemand_pkg.errors import DeclarationError, OndemandError


def check(text: str, origin: str, notes: Sequence[str]) -> None:
    """Read a declaration as every command would; raises OndemandError, with what was to be told, where it is refused."""
    with tempfile.TemporaryDirectory(prefix="ondemand-pkg-") as directory:
        path = Path(directory, "imported.toml")
        path.write_text(text, encoding="utf-8")
        try:
            read_site([str(path)])
        except DeclarationError as error:
            faults = [f"{fault.key}: {fault.message}".replace(f"{path}:", "line ") for fault in error.faults]
            raise OndemandError(f"{origin}: nothing is written, as 'ondemand-pkg check' would refuse the result:",
                                *faults, *notes) from None


def write(text: str, path: Path, force: bool) -> None:
    """Write a text into a file that is not there, or, where ``force``, in place of one; raises OndemandError."""
    if not force and path.exists():
        raise OndemandError(f"{path}: it already exists; give another file with --output, or --force to overwrite it")
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=".ondemand-pkg-", delete=False) as stream:
            stream.write(text)
            os.fchmod(stream.fileno(), 0o644)  # by now, its name may be another file's
        os.replace(stream.name, path)
    except OSError as error:
        raise OndemandError(f"{path}: it can't be written: {error.strerror}; give another file with --output") from None
