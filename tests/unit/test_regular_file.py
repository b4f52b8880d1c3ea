"""A command waits for no file that is none: FIFOs and devices in a directory of somebody's are told, and what a shell hands over
is read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ondemand_pkg import regular_file
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.repository import pool

TOP = Path(__file__).parents[2]
TOML = '[container.x]\nimage = "x:1"\nversion = "1"\nports = ["80:80"]\n'


@pytest.mark.parametrize("argv", [["build", "{}"], ["check", "{}"], ["show", "{}"], ["source", "{}"], ["import", "{}"],
                                  ["import", "{}.container"], ["diff", "{}", "{}"]])
@pytest.mark.parametrize("kind", ["fifo", "link to a fifo", "device"])
def test_no_command_waits_for_what_is_no_regular_file(argv: list[str], kind: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "target")
    for name in ("x", "x.container"):
        if kind == "fifo":
            os.mkfifo(tmp_path / name)
        else:
            (tmp_path / name).symlink_to("target" if kind == "link to a fifo" else "/dev/zero")
    done = subprocess.run([sys.executable, "-m", "ondemand_pkg", *(word.format("x") for word in argv)], cwd=tmp_path, timeout=60,
                          capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(TOP)})
    assert done.returncode in (1, 2) and done.stdout == "" and "not a regular file" in done.stderr, done.stderr


@pytest.mark.parametrize("path", ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"])
def test_what_the_shell_hands_over_is_read(path: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "ondemand_pkg", "check", "--quiet", path], input=TOML, capture_output=True,
                          text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(TOP)})
    assert done.returncode == 0, done.stderr


def test_a_link_is_followed_unless_that_is_unwanted(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("text")
    (tmp_path / "link").symlink_to("x")
    with regular_file.opened(tmp_path / "link") as stream:
        assert stream.read() == b"text"
    with pytest.raises(OSError, match="not a regular file"):
        regular_file.opened(tmp_path / "link", follow=False)
    with pytest.raises(IsADirectoryError):
        regular_file.opened(tmp_path)


def test_a_file_that_is_exchanged_after_the_look_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who owns the directory may put a FIFO there between the look and the opening."""
    os.mkfifo(tmp_path / "x")
    regular = os.stat(__file__)
    monkeypatch.setattr(os, "stat", lambda path, follow_symlinks: regular)
    with pytest.raises(OSError, match="not a regular file"):
        regular_file.opened(tmp_path / "x")


def test_no_package_that_is_a_fifo_is_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.deb")
    with pytest.raises(OndemandError, match="x.deb: not published: not a regular file"):
        pool._copy(tmp_path / "x.deb", tmp_path / "copy.deb")
