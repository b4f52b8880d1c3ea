"""What a command loads: starting is most of the time that a short command takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples/nginx.toml"
NEVER = {"docker", "yaml", "concurrent.futures", "ondemand_pkg.importing", "ondemand_pkg.repository",
         "ondemand_pkg.formats.read_deb", "ondemand_pkg.formats.read_rpm"}
ONLY_FOR_PACKAGES = {"jinja2", "tomllib", "lzma", "ondemand_pkg.contents", "ondemand_pkg.declaration", "ondemand_pkg.formats"}


def loaded(*argv: str, directory: Path) -> set[str]:
    """Return the names of the modules that a command has loaded when it ends."""
    done = subprocess.run([sys.executable, "-X", "importtime", "-m", "ondemand_pkg", *argv], cwd=directory, capture_output=True,
                          text=True, check=True)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def test_a_build_loads_no_engine_no_reader_and_no_other_command(tmp_path: Path) -> None:
    names = loaded("build", "--quiet", "--output", str(tmp_path), str(EXAMPLE), directory=tmp_path)
    assert names >= ONLY_FOR_PACKAGES
    assert names.isdisjoint(NEVER)


def test_the_version_is_shown_without_loading_what_makes_packages(tmp_path: Path) -> None:
    names = loaded("--version", directory=tmp_path)
    assert "ondemand_pkg.cli.main" in names
    assert names.isdisjoint(ONLY_FOR_PACKAGES | NEVER)
