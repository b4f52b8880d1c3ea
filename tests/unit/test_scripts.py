"""What the maintainer scripts leave behind, run as the package managers run them."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ondemand_pkg.contents import package_of
from ondemand_pkg.contents.scripts import scripts
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.layout import UNITS
from ondemand_pkg.model import Container, Port, Resolved, TcpAddress

NGINX = Container("nginx", "nginx:1.27", "1.27.0", (Port(TcpAddress(None, 80), 80),))


@pytest.mark.parametrize(("format_name", "name"), [("deb", "postrm"), ("rpm", "postun")])
@pytest.mark.parametrize(("successor", "stays"), [
    (None, False), ("run --metrics {}", True), ("run --metrics {} --pause", True), ("run --metrics {}2", False), ("run", False)],
    ids=["removal", "upgrade", "upgrade with more options", "another directory", "no metrics any more"])
def test_the_metrics_go_with_the_version_that_wrote_them_unless_its_successor_goes_on(
    tmp_path: Path, format_name: str, name: str, successor: str | None, stays: bool,
) -> None:
    with_metrics = dataclasses.replace(NGINX, metrics=str(tmp_path))
    text = scripts(with_metrics, FORMATS[format_name])[name].replace(UNITS, str(tmp_path))
    written = tmp_path / "ondemand-nginx.prom"
    written.touch()
    if successor is not None:
        (tmp_path / "ondemand-nginx-container.service").write_text(f"ExecStart=/{successor.format(tmp_path)}\n")
    part = "\n".join(line for line in text.splitlines() if "grep" in line or "rm -f" in line)
    subprocess.run(["sh", "-ec", part], check=True)
    assert written.exists() == stays


SYSTEMCTL = """#!/bin/sh
case "$*" in
    *is-failed*) exec [ -e "$0.failed" ] ;;
    *is-enabled*) exec [ -e "$0.enabled" ] ;;
    *is-active*) ! [ -e "$0.failed" ]; exit ;;
    *start*) rm -f "$0.failed" ;;
    *list-units*) echo "ondemand-nginx.socket loaded failed failed On-demand container nginx (socket)" ;;
esac
"""
AGAIN = [("deb", "postinst", ["triggered", "/usr/libexec"]), ("rpm", "posttrans", ["1"]),
         ("rpm", "transfiletriggerpostun", ["1"]), ("deb", "postrm", ["remove"]), ("rpm", "postun", ["0"])]


@pytest.mark.parametrize(("format_name", "name", "arguments"), AGAIN, ids=[f"{script} {name}" for script, name, _ in AGAIN])
@pytest.mark.parametrize("how", ["failed", "failed and disabled", "listening", "not booted"])
def test_a_socket_that_failed_is_started_once_its_address_may_be_free(
    tmp_path: Path, format_name: str, name: str, arguments: list[str], how: str,
) -> None:
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(SYSTEMCTL)
    systemctl.chmod(0o755)
    (tmp_path / "deb-systemd-invoke").symlink_to(systemctl)
    booted = tmp_path / "system"
    if how != "not booted":
        booted.mkdir()
    failed, enabled = Path(f"{systemctl}.failed"), Path(f"{systemctl}.enabled")
    invoked = Path(f"{tmp_path / 'deb-systemd-invoke'}.failed")
    if how != "listening":
        failed.touch()
        invoked.touch()
    if "disabled" not in how:
        enabled.touch()
    text = scripts(NGINX, FORMATS[format_name])[name].replace(NGINX.libexec, str(tmp_path))
    done = subprocess.run(["sh", "-c", text.replace("/run/systemd/system", str(booted)), "script", *arguments],
                          env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}, capture_output=True, text=True)
    assert done.returncode == 0
    started = not (invoked if format_name == "deb" else failed).exists()
    assert started == (how in ("failed", "listening"))


PYTHON = "PATH=/usr/sbin:/usr/bin:/sbin:/bin python3"


def part(format_name: str, script: str, directory: Path, begins: tuple[str, ...]) -> str:
    """Return the lines of a script that begin so, for helpers in another directory, with this Python."""
    text = scripts(NGINX, FORMATS[format_name])[script].replace(NGINX.libexec, str(directory)).replace(PYTHON, sys.executable)
    begins = tuple(begin.replace(NGINX.libexec, str(directory)) for begin in begins)
    return "\n".join(line for line in text.splitlines() if line.strip().startswith(begins)) + "\n"


COMPILES = pytest.mark.parametrize(("format_name", "script"), [("deb", "postinst"), ("rpm", "posttrans")])
FORGET = (f"if [ -d {NGINX.libexec} ]",)
COMPILE = (*FORGET, sys.executable)


@COMPILES
def test_another_release_of_a_module_with_the_same_size_and_time_runs_its_own_code(
    tmp_path: Path, format_name: str, script: str,
) -> None:
    compiled = part(format_name, script, tmp_path, COMPILE)
    for directory in (tmp_path, tmp_path / "engines"):
        directory.mkdir(exist_ok=True)
        for release in ("old", "new"):
            module = directory / "one.py"
            module.write_text(f"release = {release!r}\n")
            os.utime(module, (1577836800, 1577836800))
            call = [sys.executable, "-B", "-c", "import one; print(one.release, one.__cached__)"]
            for _ in range(2):  # before the new one is compiled, and after
                said = subprocess.run(call, cwd=directory, capture_output=True, text=True, check=True).stdout
                assert said.split()[0] == release
                subprocess.run(["sh", "-ec", compiled], check=True)
            header = Path(said.split()[1]).read_bytes()[:8]
            assert header == importlib.util.MAGIC_NUMBER + (0b11).to_bytes(4, "little"), "checked by hash (PEP 552)"


@pytest.mark.parametrize(("format_name", "script"), [("deb", "prerm"), ("rpm", "preun")])
def test_nothing_that_was_compiled_stays(tmp_path: Path, format_name: str, script: str) -> None:
    (tmp_path / "engines").mkdir()
    for module in ("one.py", "engines/two.py"):
        (tmp_path / module).touch()
    for _ in range(2):
        subprocess.run(["sh", "-ec", part("deb", "postinst", tmp_path, COMPILE)], check=True)
        assert len(list(tmp_path.rglob("*.pyc"))) == 2
        subprocess.run(["sh", "-ec", part(format_name, script, tmp_path, FORGET)], check=True)
        assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["engines", "engines/two.py", "one.py"]


@COMPILES
@pytest.mark.parametrize("python", ["/nowhere/python3", "/bin/false"])
def test_a_host_where_nothing_can_be_compiled_is_installed_all_the_same(
    tmp_path: Path, format_name: str, script: str, python: str,
) -> None:
    lines = part(format_name, script, tmp_path / "missing", COMPILE).replace(sys.executable, python)
    done = subprocess.run(["sh", "-ec", lines], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("format_name", ["deb", "rpm"])
def test_no_helper_lies_deeper_than_what_the_scripts_remove(format_name: str) -> None:
    package = package_of.package(Resolved(NGINX), FORMATS[format_name], 0)
    modules = [entry.path for entry in package.entries if entry.path.endswith(".py")]
    assert modules and all(path.removeprefix(f"{NGINX.libexec}/").count("/") <= 1 for path in modules)
