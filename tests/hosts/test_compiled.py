"""Helpers are compiled when they are installed; nothing of that is left behind, and nothing depends on it."""

from __future__ import annotations

from pathlib import Path

from .conftest import NGINX, built, manager_on
from .managers import Manager

FIRST = Path(__file__).parents[1] / "data/0.1.0"  # that release compiled nothing
HELPERS = "/usr/libexec/ondemand-nginx"
LEFT = f"find {HELPERS} -name '*.pyc' 2>/dev/null | sort"
FLAGS = "import sys; print(open(sys.argv[1], 'rb').read()[4])"  # 3: by hash, checked (PEP 552)


manager = manager_on("trixie-deb", "bookworm-rpm")


def test_helpers_are_compiled_from_installation_to_removal_and_never_in_a_downgrades_way(
    manager: Manager, tmp_path: Path,
) -> None:
    machine, first = manager.machine, next(FIRST.glob(f"ondemand-nginx[-_]*.{manager.kind}"))
    newer = built(tmp_path, NGINX)[f"{manager.kind}/nginx"]
    manager.install(first)
    assert machine.sh(LEFT) == ""
    manager.install(newer)
    compiled = machine.sh(LEFT).split()
    assert len(compiled) == len(machine.sh(f"find {HELPERS} -name '*.py'").split())
    assert {machine.run("python3", "-c", FLAGS, path).stdout for path in compiled} == {"3\n"}
    assert machine.get() == "200"
    manager.reinstall(newer)
    assert machine.sh(LEFT).split() == compiled
    manager.downgrade(first)
    assert machine.sh(f"find {HELPERS} -name __pycache__") == ""
    manager.install(newer)
    machine.sh(f"for file in {HELPERS}/__pycache__/*; do mv $file $(echo $file | sed s/cpython-3/cpython-2/); done")
    machine.run("systemctl", "stop", "ondemand-nginx-container")
    assert machine.get() == "200", "after the distribution's Python has changed"
    manager.purge("ondemand-nginx")
    assert machine.sh(f"find / -xdev -path {HELPERS}", check=False) == ""
