"""The manual pages and completions of a native package follow the program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ondemand_host.main import COMMANDS
from ondemand_pkg.declaration.fields import FIELDS
from ondemand_pkg.declaration.reader import read

TOP = Path(__file__).parents[2]


def test_every_command_and_every_key_has_its_place(tmp_path: Path) -> None:
    subprocess.run([sys.executable, TOP / "tools/manuals", tmp_path], check=True, cwd=TOP)
    program, declaration = ((tmp_path / name).read_text() for name in ("ondemand-pkg.1", "ondemand-pkg.toml.5"))
    assert all(f".SS {command}" in program for command in ("build", "check", "publish", "repo key rotate", "repo verify"))
    assert all(f"\n.B {field.key}\n" in declaration for field in FIELDS)
    for page in tmp_path.glob("*.[15]"):
        assert all(f"\n.SH {section}\n" in page.read_text() for section in ("EXAMPLES", "FILES")), page.name
    of_hosts = (tmp_path / "ondemand.1").read_text()
    assert all(f".SS {command} " in of_hosts for command in COMMANDS) and ".B \\-f, \\-\\-follow\n" in of_hosts
    assert all("_ONDEMAND_PKG_COMPLETE" in (tmp_path / f"ondemand-pkg.{shell}").read_text() for shell in ("bash", "zsh", "fish"))


def test_the_example_of_the_declaration_is_a_declaration(tmp_path: Path) -> None:
    subprocess.run([sys.executable, TOP / "tools/manuals", tmp_path], check=True, cwd=TOP)
    shown = (tmp_path / "ondemand-pkg.toml.5").read_text().split(".SH EXAMPLES")[1].split(".nf\n")[1].split("\n.fi")[0]
    (tmp_path / "x.toml").write_text(shown.replace("\\-", "-").replace("\\e", "\\"))
    assert [container.name for container in read([str(tmp_path / "x.toml")])] == ["db", "app"]
