"""What users may rely on: every example builds, and no linter of either format has a complaint."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from requirements import need

from ondemand_pkg.building import packing
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.formats import FORMATS

RPMLINT = Path(__file__).parent / "rpmlint.toml"
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda path: path.stem)
def packages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return packing.write(packing.tasks(read([str(request.param)]), FORMATS.values(), {}), tmp_path_factory.mktemp("dist"))


def test_lintian_finds_no_error_and_no_warning(packages: list[Path]) -> None:
    need("lintian")
    debs = [path for path in packages if path.suffix == ".deb"]
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", *debs],
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_rpmlint_finds_no_error_and_no_warning(packages: list[Path]) -> None:
    need("rpmlint")
    rpms = [path for path in packages if path.suffix == ".rpm"]
    done = subprocess.run(["rpmlint", "--config", RPMLINT, *rpms], capture_output=True, text=True)
    assert done.returncode == 0 and "0 errors, 0 warnings" in done.stdout, done.stdout
