"""The documentation builds, and its commands do what it says; tests/hosts runs those of a host."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from documentation import DOCS, Builder, typed
from requirements import need


def test_the_tutorials_commands_print_what_it_says(tmp_path: Path) -> None:
    builder = Builder(tmp_path)
    for step in typed(DOCS / "tutorial.md"):
        if not step.on_host:
            printed = builder.run(step.command)
            assert not step.prints or printed.splitlines() == list(step.prints), step.command


def test_no_console_block_is_left_untried() -> None:
    """A page with console blocks that are run has a test that runs them: this is the list of those that have one."""
    tried = ["database.md", "firewall.md", "fleet.md", "reverse-proxy.md", "secrets.md", "several-hosts.md", "tutorial.md",
             "uninstall.md"]
    assert [page.name for page in sorted(DOCS.glob("*.md")) if typed(page)] == tried


def test_the_units_of_the_repository_page_are_sound(tmp_path: Path) -> None:
    need("systemd-analyze")
    page = (DOCS / "repository.md").read_text()
    units = re.findall(r"^```ini\n# \S*/(\S+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    for name, text in units:
        (tmp_path / name).write_text(text.replace("/usr/bin/ondemand-pkg", "/usr/bin/env"))
    assert [name.partition(".")[2] for name, _ in units] == ["service", "timer"]
    done = subprocess.run(["systemd-analyze", "verify", *(tmp_path / name for name, _ in units)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_book_builds_without_a_broken_link(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", tmp_path / "book"], cwd=DOCS.parent,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in DOCS.glob("*.md"):
        assert "<h1" in (tmp_path / "book" / f"{page.stem}.html").read_text()


def test_the_times_beside_the_diagram_of_a_wake_are_those_in_it() -> None:
    totals = re.findall(r">[^<]*: ([0-9]+) ms</text>", (DOCS / "wake.svg").read_text())
    ours, others = (f"{int(total) / 1000:.2f} s" for total in totals)
    assert f"Timing diagram: {ours} here, {others} with units" in (DOCS / "wake.md").read_text()
