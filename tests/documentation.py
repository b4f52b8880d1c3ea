"""The console blocks of the documentation, as tests run them.

Knows how a block is written: `$ ` before what a user types on the machine that builds, `# ` before what root types on a host,
and below each what it prints, where that is shown; and that a comment before a block says why it is not run. Hides Markdown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


@dataclass(frozen=True)
class Typed:
    """One command, where it is typed, and the lines that it prints (none: they are not shown)."""

    command: str
    on_host: bool
    prints: tuple[str, ...]


def typed(page: Path) -> list[Typed]:
    """Return the commands of a page, in their order, without those of blocks that say why they are not run."""
    found: list[Typed] = []
    for block in re.findall(r"(?<!-->\n)^```console\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith(("$ ", "# ")):
                found.append(Typed(line[2:], line[0] == "#", ()))
            else:
                last = found.pop()
                found.append(Typed(last.command, last.on_host, (*last.prints, line)))
    return found
