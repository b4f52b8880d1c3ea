"""SECURITY.md names tests that exist, and is found from the places where people look."""

from __future__ import annotations

import re
from pathlib import Path

TOP = Path(__file__).parents[2]


def test_the_tests_that_it_names_exist() -> None:
    named = set(re.findall(r"`(tests/[a-z_/]+\.py)`", (TOP / "SECURITY.md").read_text(encoding="utf-8")))
    assert len(named) > 10 and [path for path in sorted(named) if not (TOP / path).is_file()] == []


def test_it_is_linked_and_part_of_the_book() -> None:
    assert "(SECURITY.md)" in (TOP / "README.md").read_text(encoding="utf-8")
    assert "(security.md)" in (TOP / "docs/index.md").read_text(encoding="utf-8")
    assert (TOP / "docs/security.md").samefile(TOP / "SECURITY.md")
