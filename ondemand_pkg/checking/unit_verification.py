"""Units, looked at by systemd itself.

Knows how `systemd-analyze verify` is made to look at units of packages that are not installed; hides its output.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ondemand_pkg.contents.units import units
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.model import Container

_TIMEOUT = 300  # seconds for all units of a call


def verified(containers: Sequence[Container]) -> list[str]:
    """Return what systemd says of the units of some containers, a line each; raises OndemandError where it is not there."""
    if shutil.which("systemd-analyze") is None:
        raise OndemandError("systemd-analyze is not installed; leave --units out, or install systemd")
    with tempfile.TemporaryDirectory(prefix="ondemand-pkg-") as temporary:
        paths = []
        for container in containers:
            for name, text in units(container).items():
                path = Path(temporary) / name
                # The programs are there only where the package is installed.
                path.write_text(text.replace(f"{container.libexec}/", "/bin/true "))
                paths.append(path)
        try:
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True,
                                  timeout=_TIMEOUT)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise OndemandError(f"systemd-analyze can't be used: {error}; leave --units out") from None
        names = {path.name for path in paths}
        return [line.replace(f"{temporary}/", "") for line in done.stderr.splitlines() if any(name in line for name in names)]
