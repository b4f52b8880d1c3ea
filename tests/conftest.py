"""What every test begins from: how property tests choose their examples, and the helpers as the modules of a package.

No example of a property test is judged by its time: the machine may be busy.  A helper knows its package by the directory that it
lies in, so it is imported by way of a directory called ondemand-x; what it writes on a host goes into a directory of the test's.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from ondemand_pkg.contents.helper_files import DIRECTORY

# In CI the same examples at each run, so that what fails there fails again; everywhere else new ones each time.
settings.register_profile("anywhere", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "anywhere")

# Seconds for each test of a directory; the others' are in setup.cfg.  None is to be reached, however busy the machine is.
LIMITS = {"lint": 600, "unit": 600}

_TEMPORARY = tempfile.mkdtemp()
atexit.register(shutil.rmtree, _TEMPORARY)
_INSTALLED = Path(_TEMPORARY) / "ondemand-x"
_INSTALLED.symlink_to(DIRECTORY)
sys.path.insert(0, str(_INSTALLED))

import names  # noqa: E402 # before any other helper takes its paths from it

_HOST = Path(_TEMPORARY) / "host"
for _name, _path in vars(names).items():
    if isinstance(_path, str) and _path.startswith(("/run/", "/var/lib/")):
        setattr(names, _name, f"{_HOST}{_path}")


@pytest.fixture(autouse=True)
def host_of_its_own() -> Iterator[None]:
    """Let no test find what another one has noted on the host, and none change the real one."""
    yield
    shutil.rmtree(_HOST, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        limit = LIMITS.get(item.path.relative_to(here).parts[0]) if here in item.path.parents else None
        if limit:
            item.add_marker(pytest.mark.timeout(limit))
