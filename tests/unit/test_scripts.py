"""What the maintainer scripts leave behind, run as the package managers run them."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pytest

from ondemand_pkg.model import Container, Port, TcpAddress
from ondemand_pkg.scripts import scripts
from ondemand_pkg.units import DIRECTORY

NGINX = Container("nginx", "nginx:1.27", "1.27.0", (Port(TcpAddress(None, 80), 80),))


@pytest.mark.parametrize(("format_name", "name"), [("deb", "postrm"), ("rpm", "postun")])
@pytest.mark.parametrize(("successor", "stays"), [
    (None, False), ("run --metrics {}", True), ("run --metrics {} --pause", True), ("run --metrics {}2", False), ("run", False)],
    ids=["removal", "upgrade", "upgrade with more options", "another directory", "no metrics any more"])
def test_the_metrics_go_with_the_version_that_wrote_them_unless_its_successor_goes_on(
    tmp_path: Path, format_name: str, name: str, successor: str | None, stays: bool,
) -> None:
    text = scripts(dataclasses.replace(NGINX, metrics=str(tmp_path)), format_name)[name].replace(DIRECTORY, str(tmp_path))
    written = tmp_path / "ondemand-nginx.prom"
    written.touch()
    if successor is not None:
        (tmp_path / "ondemand-nginx-container.service").write_text(f"ExecStart=/{successor.format(tmp_path)}\n")
    part = "\n".join(line for line in text.splitlines() if "grep" in line or "rm -f" in line)
    subprocess.run(["sh", "-ec", part], check=True)
    assert written.exists() == stays
