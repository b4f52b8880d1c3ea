"""The tutorial, followed to the letter by a newcomer on a fresh host."""

from __future__ import annotations

import shutil
from pathlib import Path

from documentation import DOCS, typed

from .conftest import built
from .machine import Machine

DECLARATION = '[container.nginx]\nimage = "nginx:1.27"\nversion = "1.27"\nports = ["8080:80"]\nidle = "10min"\n'


def test_the_tutorials_commands_print_what_it_says(trixie: Machine, tmp_path: Path) -> None:
    package = built(tmp_path, DECLARATION)["deb/nginx"]  # tests/unit/test_documentation.py writes the same by the tutorial
    shutil.copytree(package.parent, trixie.path("/root/dist"))
    for step in typed(DOCS / "tutorial.md"):
        if step.on_host:
            printed = trixie.sh(f"cd /root && {step.command}")
            assert not step.prints or printed.splitlines() == list(step.prints), step.command
    assert trixie.sh("docker ps --all --quiet") == ""


def test_after_the_page_on_uninstalling_nothing_is_left(trixie: Machine, tmp_path: Path) -> None:
    trixie.apt_install(built(tmp_path, DECLARATION + 'volumes = ["nginx-data:/data"]\n')["deb/nginx"])
    for step in typed(DOCS / "uninstall.md"):
        printed = trixie.sh(f"cd /root && {step.command}")
        assert not step.prints or printed.splitlines() == list(step.prints), step.command
    assert step.command.startswith("find ") and printed == ""
