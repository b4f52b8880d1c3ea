"""Linters as test cases: the code, every rendered script, every rendered unit."""

from __future__ import annotations

import dataclasses
import ipaddress
import subprocess
import sys
from pathlib import Path

import pytest
from requirements import need

from ondemand_pkg.contents.scripts import scripts
from ondemand_pkg.contents.units import units
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.model import Container, Port, TcpAddress, UdpAddress, UnixAddress, Volume

TOP = Path(__file__).parents[2]
NGINX = Container("nginx", "nginx:1.27", "1.27.0", (Port(TcpAddress(None, 80), 80),))
RICH = dataclasses.replace(NGINX, name="c++.web-1", purge_volumes=True, metrics="/srv/text-file", volumes=(
    Volume("web-data", "/data"), Volume("/srv", "/srv"), Volume("more", "/more")), description='100% "quoted" $HOME; \\', ports=(
    Port(TcpAddress(ipaddress.ip_address("::1"), 81), 8081), Port(UnixAddress("/run/web %n.sock"), 8080),
    Port(UdpAddress(None, 81), 81)))


def passes(*argv: str | Path) -> None:
    done = subprocess.run(argv, cwd=TOP, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_finds_nothing() -> None:
    passes(sys.executable, "-m", "ruff", "check", "ondemand_pkg", "tests", "tools", "bench")


def test_types_are_right_everywhere() -> None:
    passes(sys.executable, "-m", "mypy")


@pytest.mark.parametrize("container", [NGINX, RICH], ids=lambda container: container.name)
@pytest.mark.parametrize(("format_name", "name"), [(each.name, name) for each in FORMATS.values() for name in each.scripts])
@pytest.mark.parametrize("checker", [("shellcheck", "--shell=sh"), ("dash", "-n"), ("bash", "--posix", "-n")], ids=lambda c: c[0])
def test_every_script_is_posix_shell(checker: tuple[str, ...], format_name: str, name: str, container: Container,
                                     tmp_path: Path) -> None:
    need(checker[0])
    path = tmp_path / name
    path.write_text(scripts(container, FORMATS[format_name])[name])
    passes(*checker, path)


@pytest.mark.parametrize("path", [TOP / ".ci/run", *(TOP / "tools" / name for name in (
    "test", "example", "bench", "host", "packages"))], ids=lambda path: path.name)
def test_the_projects_own_scripts_are_posix_shell(path: Path) -> None:
    need("shellcheck")
    passes("shellcheck", "--shell=sh", "--external-sources", path)


@pytest.mark.parametrize("container", [NGINX, RICH], ids=lambda container: container.name)
def test_systemd_finds_no_fault_with_any_unit(container: Container, tmp_path: Path) -> None:
    need("systemd-analyze")
    for name, text in units(container).items():
        # The programs are there only where the package is installed.
        (tmp_path / name).write_text(text.replace(f"{container.libexec}/", "/bin/true "))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *sorted(tmp_path.iterdir())], capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line or container.package_name in line]
    assert not ours
