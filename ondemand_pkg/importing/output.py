"""Where a written declaration goes.

Knows that no file is overwritten unless that is asked for, and that none is left half-written; hides temporary files.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ondemand_pkg.errors import OndemandError


def write(text: str, path: Path, force: bool) -> None:
    """Write a text into a file that is not there, or, where ``force``, in place of one; raises OndemandError."""
    if not force and path.exists():
        raise OndemandError(f"{path}: it is there already; give another file with --output, or --force to overwrite it")
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=".ondemand-pkg-", delete=False) as stream:
            stream.write(text)
        os.chmod(stream.name, 0o644)
        os.replace(stream.name, path)
    except OSError as error:
        raise OndemandError(f"{path}: it can't be written: {error.strerror}; give another file with --output") from None
