"""The commands of the engines that Debian's suites have, in root file systems made once by tools/engine-options."""

from __future__ import annotations

import fcntl
import importlib.util
import os
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

from requirements import need

TOOL = Path(__file__).parents[2] / "tools/engine-options"


def tool() -> ModuleType:
    """Return the tool, as a module."""
    spec = importlib.util.spec_from_loader("engine_options", SourceFileLoader("engine_options", str(TOOL)))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def root_of(suite: str) -> Path:
    """Return a root file system with the commands of a suite."""
    need("mmdebstrap", "unshare", "chroot", root=True)
    base = Path(os.environ.get("ONDEMAND_PKG_TEST_CACHE") or Path.home() / ".cache/ondemand-pkg-tests") / "engine-commands"
    base.mkdir(parents=True, exist_ok=True)
    with (base / f"{suite}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another file's tests may be about to make it too
        return Path(tool().root_of(suite, base))
