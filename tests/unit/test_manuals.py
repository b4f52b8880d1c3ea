"""The manual pages and completions of a native package follow the program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ondemand_host.main import COMMANDS
from ondemand_pkg.declaration.fields import FIELDS

TOP = Path(__file__).parents[2]


def test_every_command_and_every_key_has_its_place(tmp_path: Path) -> None:
    subprocess.run([sys.executable, TOP / "tools/manuals", tmp_path], check=True, cwd=TOP)
    program, declaration = ((tmp_path / name).read_text() for name in ("ondemand-pkg.1", "ondemand-pkg.toml.5"))
    assert all(f".SS {command}" in program for command in ("build", "check", "publish", "repo key rotate", "repo verify"))
    assert all(f"\n.B {field.key}\n" in declaration for field in FIELDS)
    of_hosts = (tmp_path / "ondemand.1").read_text()
    assert all(f".SS {command} " in of_hosts for command in COMMANDS) and ".B \\-f, \\-\\-follow\n" in of_hosts
    assert all("_ONDEMAND_PKG_COMPLETE" in (tmp_path / f"ondemand-pkg.{shell}").read_text() for shell in ("bash", "zsh", "fish"))
