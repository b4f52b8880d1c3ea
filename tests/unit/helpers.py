"""The helpers that run on hosts, loaded as modules."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from ondemand_pkg.templates import DIRECTORY

LIBEXEC = DIRECTORY / "libexec"


def load(name: str) -> ModuleType:
    """Load a helper by the name of its file, as one of the package ondemand-x."""
    before = set(sys.modules)
    with tempfile.TemporaryDirectory() as temporary:
        installed = Path(temporary) / "ondemand-x"
        installed.symlink_to(LIBEXEC)
        sys.path.insert(0, str(installed))  # where it finds its neighbours, as on a host
        sys.dont_write_bytecode, writes = True, sys.dont_write_bytecode
        try:
            loader = importlib.machinery.SourceFileLoader(f"helper_{name.partition('.')[0]}", str(installed / name))
            spec = importlib.util.spec_from_loader(loader.name, loader)
            assert spec is not None
            module = importlib.util.module_from_spec(spec)
            loader.exec_module(module)
            return module
        finally:
            sys.path.remove(str(installed))
            sys.dont_write_bytecode = writes
            for neighbour in {path.stem for path in LIBEXEC.glob("*.py")} - before:
                sys.modules.pop(neighbour, None)
