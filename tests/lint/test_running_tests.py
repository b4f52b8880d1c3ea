"""The tests end: each has a limit of time, wherever it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
HANGS = "import threading\ndef test_hangs(): threading.Event().wait()\ndef test_goes_on(): pass\n"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments], cwd=TOP, capture_output=True,
                          text=True)


def test_this_test_has_a_limit_of_time(request: pytest.FixtureRequest) -> None:
    marker = request.node.get_closest_marker("timeout")
    assert marker is not None and marker.args == (600,)
    assert float(request.config.getini("timeout")) > 600, "that of tests that wait for a host to be made"


def test_a_test_that_hangs_is_ended_and_named(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(HANGS)
    done = run("--config-file", "setup.cfg", "--rootdir", str(tmp_path), "--timeout", "1", str(tmp_path))
    assert done.returncode == 1 and "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "test_hangs" in done.stdout and "Timeout (>1.0s)" in done.stdout
