"""The helpers that run on hosts, loaded as modules."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from types import ModuleType

from ondemand_pkg.templates import DIRECTORY

LIBEXEC = DIRECTORY / "libexec"


def load(name: str) -> ModuleType:
    """Load a helper by the name of its file."""
    sys.path.insert(0, str(LIBEXEC))  # where it finds its neighbour, as on a host
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        loader = importlib.machinery.SourceFileLoader(f"helper_{name.partition('.')[0]}", str(LIBEXEC / name))
        spec = importlib.util.spec_from_loader(loader.name, loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(LIBEXEC))
        sys.dont_write_bytecode = before
