"""How property tests choose their examples, and that none has to be quick: the machine may be busy."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("here", deadline=None)
settings.load_profile("here")
# No example is judged by its time.  In CI the same examples at each run, so that what fails there fails again; everywhere else
# new ones each time.
settings.register_profile("anywhere", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "anywhere")
