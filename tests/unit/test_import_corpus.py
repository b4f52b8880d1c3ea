"""The tool that tries imports on directories tells for each file what became of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[2]
CASES = TOP / "tests/data/compose-cases"


def test_each_file_has_its_line_and_what_docker_refuses_breaks(tmp_path: Path) -> None:
    shutil.copytree(CASES / "alias", tmp_path / "alias")
    (tmp_path / "tunnel").mkdir()
    (tmp_path / "tunnel/compose.yaml").write_text("services:\n  a: {image: 'a:1', ports: ['1:1'], network_mode: "
                                                  "'container:gone'}\n  b: {image: 'b:1'}\n")
    shutil.copy(TOP / "tests/data/quadlet/q05-no-ports.container", tmp_path)
    done = subprocess.run([sys.executable, TOP / "tools/import-corpus", tmp_path], capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    assert [line.split()[:5] for line in lines[1:3]] == [["alias/compose.yaml", "2", "2", "0", "0"],
                                                         ["q05-no-ports.container", "1", "0", "0", "0"]]
    assert lines[3].startswith("tunnel/compose.yaml") and "import: error: " in lines[3]
    assert lines[4].startswith("3 files, 2 of 5 services arrived (40 %), 2 with an error")


def test_a_directory_of_quadlet_files_is_one_project_if_asked_for(tmp_path: Path) -> None:
    for name in ("q05-no-ports.container", "q16-requires.container"):
        shutil.copy(TOP / "tests/data/quadlet" / name, tmp_path)
    done = subprocess.run([sys.executable, TOP / "tools/import-corpus", "--together", tmp_path], capture_output=True, text=True,
                          timeout=120)
    assert done.stdout.splitlines()[1].split()[:5] == [".", "2", "1", "1", "0"], done.stdout + done.stderr
