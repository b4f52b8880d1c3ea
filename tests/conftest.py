"""How property tests choose their examples."""

from __future__ import annotations

import os

from hypothesis import settings

# In CI the same examples at each run, so that what fails there fails again; everywhere else new ones each time.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI") == "true":
    settings.load_profile("ci")
