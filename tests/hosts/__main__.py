"""A shell on a fresh host, to look at one by hand: `sh tools/host`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .machine import fresh
from .roots import SUITES


def main(argv: list[str]) -> int:
    """Boot a host of a suite with files in its /root, run a shell there until it ends; return its exit status."""
    suite, *files = argv or [SUITES[-1]]
    if suite not in SUITES:
        print(f"there is no suite {suite}; choose one of {', '.join(SUITES)}", file=sys.stderr)
        return 2
    environ = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", f"TERM={os.environ.get('TERM', 'dumb')}"]
    with fresh(suite) as machine:
        machine.copy_in(*map(Path, files))
        print(f"a fresh host of {suite}, outside at {machine.directory}; it is thrown away when this shell ends", file=sys.stderr)
        return subprocess.run(["nsenter", "-t", str(machine.leader), "-a", "--", "env", "-i", *environ,
                               "sh", "-c", "cd && exec bash"]).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
