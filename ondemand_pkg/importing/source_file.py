"""The files that declarations are made from.

Knows how large one may be and what to give instead of one that can't be read; hides nothing.
"""

from __future__ import annotations

from ondemand_pkg.declaration import text_file

LARGEST_FILE = 2**20  # bytes


def read(path: str) -> str:
    """Return the text of a file that is to be imported; raises DeclarationError."""
    other = "give a Compose file (compose.yaml) or a Quadlet file (NAME.container) of this machine"
    return text_file.read(path, LARGEST_FILE, lambda number: other, "import a smaller file")
