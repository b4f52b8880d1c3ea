"""The service that runs as root has few rights, and each that is left has a reason in the book."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from requirements import need

from ondemand_pkg.contents.units import units
from ondemand_pkg.declaration.reader import read

TOP = Path(__file__).parents[2]
WORST = 5.0
BASE = '[package]\nversion = "1"\n[container.web]\nimage = "web:1"\n'
SERVED = BASE + 'ports = ["80:80"]\nidle = "10min"\n'
DECLARATIONS = {
    "one that Docker or Podman makes": SERVED,
    "Podman's": SERVED + 'engine = "podman"\n',
    "one that is paused": SERVED + 'idle_action = "pause"\n',
    "one that others reach": BASE + 'expose = ["80"]\n',
    "a task": BASE + 'task = true\nschedule = "daily"\n',
    "one that is adopted": '[adopt.web]\nversion = "1"\nunit = "web-server.service"\naddress = "10.0.3.5"\nports = ["80:80"]\n',
}
REASONS = (TOP / "SECURITY.md").read_text(encoding="utf-8").partition("### The sandbox")[2].partition("\n## ")[0]


def lines(directory: Path, text: str) -> tuple[float, dict[str, str]]:
    """Return how exposed systemd-analyze finds the container's service, and what is open, with its words."""
    (directory / "x.toml").write_text(text)
    (container,) = read([str(directory / "x.toml")])
    unit = directory / container.container_unit
    unit.write_text(units(container)[unit.name])
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", str(unit)], capture_output=True,
                          text=True, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"})
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d)", done.stdout)
    assert found, done.stdout + done.stderr
    rows = [re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in done.stdout.splitlines() if line.startswith("✗")]
    return float(found[1]), {name.removeprefix("✗").strip(): words for name, words in rows}


@pytest.mark.parametrize("name", DECLARATIONS)
def test_the_containers_service_has_few_rights_left_and_each_has_its_reason_in_the_book(name: str, tmp_path: Path) -> None:
    need("systemd-analyze")
    exposure, left = lines(tmp_path, DECLARATIONS[name])
    assert exposure <= WORST
    assert len(left) > 10
    settings = {re.search(r"CAP_\(?(\w+)", row)[0].replace("(", "") if "CAP_" in row else row.partition("=")[0] for row in left}  # type: ignore[index]
    assert [setting for setting in sorted(settings) if f"`{setting}" not in REASONS] == []


def test_a_setting_that_needs_a_mount_namespace_is_none_of_its(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(SERVED)
    (container,) = read([str(tmp_path / "x.toml")])
    unit = units(container)[container.container_unit]
    assert not re.findall(r"^(?:Protect(?:System|Home|Proc|Kernel\w+|ControlGroups)|Private\w+|Bind\w+|\w+Paths|MountFlags)=.*$",
                          unit, re.MULTILINE)
