"""The blocks of the documentation, as tests follow them.

Knows how a block is written: `$ ` before what a user types on the machine that builds, `# ` before what root types on a host,
and below each what it prints, where that is shown; that the block of a file begins with `# ` and its name, and a
host's file with its path; and that a comment before a block says why it is not run. Hides Markdown.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
_BLOCK = re.compile(r"(?<!-->\n)^```(console|[a-z]+\n# (\S+\.\S+|/\S+)$)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Typed:
    """One command, where it is typed, and the lines that it prints (none: they are not shown)."""

    command: str
    on_host: bool
    prints: tuple[str, ...]


class Builder:
    """The machine that builds: a directory, with the command ondemand-pkg."""

    def __init__(self, directory: Path, environ: Mapping[str, str] = {}) -> None:
        self.directory = directory
        program = directory / "bin/ondemand-pkg"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m ondemand_pkg "$@"\n')
        program.chmod(0o755)
        self._environ = {**os.environ, **environ, "PATH": f"{program.parent}:{os.environ['PATH']}",
                         "PYTHONPATH": str(DOCS.parent)}

    def run(self, command: str) -> str:
        """Run a command of the shell to its end; return what it said."""
        done = subprocess.run(["sh", "-c", f"{command}\n"], cwd=self.directory, env=self._environ, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, (command, done.stdout)
        return done.stdout


def typed(page: Path, heading: str = "") -> list[Typed]:
    """Return the commands of a page, or of what stands below one heading of the second level, in their order.

    The blocks that say why they are not run are left out. A file is what writes it.
    """
    text = page.read_text(encoding="utf-8")
    if heading:
        text = re.split(r"^## ", text.split(f"\n## {heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    return [step for kind, name, block in _BLOCK.findall(text) for step in (_file(name, block) if name else _commands(block))]


def headings(page: Path) -> list[str]:
    """Return the headings of the second level."""
    return re.findall(r"^## (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)


def _file(name: str, block: str) -> Iterator[Typed]:
    yield Typed(f"cat > {name} <<'END'\n# {name}\n{block}END", name.startswith("/"), ())


def _commands(block: str) -> Iterator[Typed]:
    found: list[Typed] = []
    for line in block.splitlines():
        if line.startswith(("$ ", "# ")):
            found.append(Typed(line[2:], line[0] == "#", ()))
        else:
            last = found.pop()
            found.append(Typed(last.command, last.on_host, (*last.prints, line)))
    return iter(found)
