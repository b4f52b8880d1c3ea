"""What is in templates/ is rendered, and nothing else is there."""

from __future__ import annotations

import re
from pathlib import Path

TOP = Path(__file__).parents[2]
PYTHON = re.compile(r"^\s*(def|class) \w+.*:$", re.MULTILINE)


def test_nothing_below_templates_is_python() -> None:
    files = [path for path in (TOP / "templates").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".j2", ".js"}
    assert [path for path in files if PYTHON.search(path.read_text(encoding="utf-8"))] == []
    # The programs of the helpers, whose text depends on their name alone.
    assert [path.name for path in files if path.read_text(encoding="utf-8").startswith("#!/usr/bin/python3")] == ["program.j2"]
