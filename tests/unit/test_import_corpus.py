"""The tool that tries imports on directories tells for each file what became of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[2]
CASES = TOP / "tests/data/compose-cases"


def test_each_file_has_its_line_and_what_docker_refuses_breaks(tmp_path: Path) -> None:
    for name in ("alias", "vpn"):
        shutil.copytree(CASES / name, tmp_path / name)
    shutil.copy(TOP / "tests/data/quadlet/q05-no-ports.container", tmp_path)
    done = subprocess.run([sys.executable, TOP / "tools/import-corpus", tmp_path], capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["alias/compose.yaml", "2"], ["q05-no-ports.container", "0"]]
    assert lines[3].startswith("vpn/compose.yaml") and "import: error: " in lines[3]
    assert lines[4].startswith("3 files, 2 containers, 2 with an error")
