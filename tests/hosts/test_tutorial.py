"""The tutorial, followed to the letter by a newcomer on a fresh host."""

from __future__ import annotations

import shutil
from pathlib import Path

from documentation import DOCS, Builder, typed

from .conftest import built
from .machine import Machine

DECLARATION = '[container.nginx]\nimage = "nginx:1.27"\nversion = "1.27"\nports = ["8080:80"]\nidle = "10min"\n'


def test_the_tutorials_commands_print_what_it_says(trixie: Machine, tmp_path: Path) -> None:
    builder = Builder(tmp_path)
    for step in typed(DOCS / "tutorial.md"):
        if step.on_host:
            shutil.copytree(tmp_path / "dist", trixie.path("/root/dist"), dirs_exist_ok=True)
            printed = trixie.sh(f"cd /root && {step.command}")
        else:
            printed = builder.run(step.command)
        assert not step.prints or printed.splitlines() == list(step.prints), step.command
    assert trixie.sh("docker ps --all --quiet") == ""


def test_after_the_page_on_uninstalling_nothing_is_left(trixie: Machine, tmp_path: Path) -> None:
    trixie.apt_install(built(tmp_path, DECLARATION + 'volumes = ["nginx-data:/data"]\n')["deb/nginx"])
    for step in typed(DOCS / "uninstall.md"):
        printed = trixie.sh(f"cd /root && {step.command}")
        assert not step.prints or printed.splitlines() == list(step.prints), step.command
    assert step.command.startswith("find ") and printed == ""
