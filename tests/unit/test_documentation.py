"""The documentation builds, and its commands do what it says; those of a host are run in tests/hosts/test_tutorial.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from documentation import DOCS, typed


def run_on_builder(directory: Path, page: Path) -> None:
    """Run what the page tells a user to type on the machine that builds."""
    program = directory / "bin/ondemand-pkg"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m ondemand_pkg "$@"\n')
    program.chmod(0o755)
    environ = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(DOCS.parent)}
    for step in typed(page):
        if not step.on_host:
            done = subprocess.run(["sh", "-c", f"{step.command} 2>&1"], cwd=directory, env=environ, capture_output=True,
                                  text=True)
            assert done.returncode == 0, (step.command, done.stdout)
            assert not step.prints or done.stdout.splitlines() == list(step.prints), step.command


def test_the_tutorials_commands_print_what_it_says(tmp_path: Path) -> None:
    run_on_builder(tmp_path, DOCS / "tutorial.md")


# Pages whose console blocks are run, or where what they show is tested instead: they need keys, web servers, hours of wakes.
PAGES = {
    "tutorial.md": "run here and in tests/hosts/test_tutorial.py",
    "repository.md": "the commands have their own tests, with keys and servers of their own",
    "status.md": "the command has its own tests, on hosts that have woken",
}


def test_no_console_block_is_left_without_a_test() -> None:
    assert {page.name for page in DOCS.glob("*.md") if typed(page)} <= set(PAGES)


def test_the_book_builds_without_a_broken_link(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--site-dir", tmp_path / "book"], cwd=DOCS.parent,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in DOCS.glob("*.md"):
        assert "<h1" in (tmp_path / "book" / f"{page.stem}.html").read_text()
