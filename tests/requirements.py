"""What a test needs of the machine it runs on.

Knows how a test that can't run here is told: skipped with its reason, or failed where every test must run (CI=true).
"""

from __future__ import annotations

import os
import shutil

import pytest


def need(*tools: str, root: bool = False) -> None:
    """Skip the test unless the tools are installed (and the user is root, if asked); in CI fail it."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    reasons = [f"{', '.join(missing)} not installed; tools/test installs what tests need"] if missing else []
    if root and os.getuid() != 0:
        reasons.append("not root; run as root")
    if not reasons:
        return
    if os.environ.get("CI") == "true":
        pytest.fail("; ".join(reasons))
    pytest.skip("; ".join(reasons))  # on a developer's machine, who is told what to install
