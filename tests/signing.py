"""A signing key for tests, and the command line that uses it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

TOP = Path(__file__).parents[1]


class Signer:
    """gpg's home with one key; runs ondemand-pkg there."""

    def __init__(self, home: Path) -> None:
        self.environ = {**os.environ, "GNUPGHOME": str(home), "PYTHONPATH": str(TOP)}
        self.key = self.run("repo", "key", "new", "Site packages <packages@example.com>").stdout.strip()

    def start(self, *argv: str | Path) -> subprocess.Popen[str]:
        """Start ondemand-pkg."""
        return subprocess.Popen([sys.executable, "-m", "ondemand_pkg", *map(str, argv)], env=self.environ, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *argv: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run ondemand-pkg to its end; fail where it ends with another status."""
        process = self.start(*argv)
        output, said = process.communicate(timeout=300)
        assert process.returncode == status, f"{argv} ended with {process.returncode}: {output}{said}"
        return subprocess.CompletedProcess(argv, process.returncode, output, said)

    def publish(self, root: Path, *packages: Path, status: int = 0, suite: str = "stable") -> str:
        """Publish packages; return what was said."""
        done = self.run("publish", "--repo", root, "--key", self.key, "--suite", suite, *packages, status=status)
        return done.stdout if status == 0 else done.stderr


@contextmanager
def signer() -> Iterator[Signer]:
    """Yield a signer whose key is gone afterwards; its directory has a short name, for the agent's socket lies in it."""
    with TemporaryDirectory(prefix="gpg-") as directory:
        try:
            yield Signer(Path(directory))
        finally:
            subprocess.run(["gpgconf", "--homedir", directory, "--kill", "all"], check=False)
