"""Searches for races in the helpers of any package, old or new: the side that is outside.

Knows how a package gets to a search, and what the search is asked; hides namespaces and processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ondemand_pkg.building import packing
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.formats import FORMATS, called
from ondemand_pkg.package import Kind

from .scenarios import SCENARIOS

TOP = Path(__file__).parents[2]
TOOLS = ("setpriv", "unshare", "mount", "ip")
ENDS_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")
NAMESPACES = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
NO_LIMIT = 10**9
# A container that no image is needed for: nothing starts it but a fake engine.
DECLARATION = """[container.web]
image       = "servers:1"
version     = "1"
ports       = ["80:80"]
idle        = "1s"
idle_action = "{action}"
"""

__all__ = ["DECLARATION", "NO_LIMIT", "SCENARIOS", "TOOLS", "TOP", "Found", "built", "search", "unpacked"]


@dataclass
class Found:
    """What came of a search."""

    orders: int
    seconds: float
    faults: list[dict[str, Any]]  # each order in which a client was lost: why, what happened, what helpers said

    def __str__(self) -> str:
        lines = [f"{self.orders} orders in {self.seconds} s, {len(self.faults)} in which a client is lost"]
        for fault in self.faults:
            lines += ["", fault["fault"], *(f"  {event}" for event in fault["events"]), fault["said"]]
        return "\n".join(lines)


def built(directory: Path, text: str) -> Path:
    """Build the package of the one container of a declaration; return the .deb."""
    declaration = directory / "declaration.toml"
    declaration.write_text(text)
    (path,) = packing.write(packing.tasks(read([str(declaration)]), [called("deb")], {}), directory / "dist")
    return path


def unpacked(package: Path, directory: Path, relay_options: str = "") -> Path:
    """Unpack a package into a directory; ``relay_options`` are added as if they were declared."""
    with package.open("rb") as stream:
        entries = FORMATS[package.suffix[1:]].read(stream).entries
    for entry in entries:
        if entry.kind is Kind.FILE:
            path = directory / entry.path.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(entry.data)
            path.chmod(entry.mode)
    for unit in directory.glob("usr/lib/systemd/system/*.service"):
        unit.write_text(unit.read_text().replace("/relay ", f"/relay {relay_options} ", 1) if relay_options else unit.read_text())
    return directory


def search(package: Path, scenario: str, deviations: int = 1, most_orders: int = NO_LIMIT, most_faults: int = 1,
           upgrade: Path | None = None) -> Found:
    """Search the orders of a scenario for those in which a client is lost.

    ``package`` is unpacked, and so is ``upgrade``, of another release, which declares the same.
    """
    about = {"packages": [str(package), str(upgrade or package)], "scenario": scenario, "deviations": deviations,
             "most_orders": most_orders, "most_faults": most_faults}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (TOP, TOP / "tests", TOP / "tests/unit")))}
    done = subprocess.run(
        [*ENDS_WITH_PARENT, "unshare", *NAMESPACES, sys.executable, "-m", "search.inside", json.dumps(about)], cwd=TOP,
        env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the search ended with {done.returncode}: {done.stderr[-3000:]}")
    return Found(**json.loads(done.stdout))
