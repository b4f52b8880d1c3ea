"""What every test begins from: how property tests choose their examples, and the helpers as the modules of a package.

No example of a property test is judged by its time: the machine may be busy.  A helper knows its package by the directory that it
lies in, so it is imported by way of a directory called ondemand-x.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

from hypothesis import settings

from ondemand_pkg.contents.helper_files import DIRECTORY

# In CI the same examples at each run, so that what fails there fails again; everywhere else new ones each time.
settings.register_profile("anywhere", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "anywhere")

_TEMPORARY = tempfile.mkdtemp()
atexit.register(shutil.rmtree, _TEMPORARY)
_INSTALLED = Path(_TEMPORARY) / "ondemand-x"
_INSTALLED.symlink_to(DIRECTORY)
sys.path.insert(0, str(_INSTALLED))
