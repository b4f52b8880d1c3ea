"""What users read is plain English: phrases that nobody searches for do not come back."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
HELPERS = TOP / "ondemand_pkg/helpers"
# Each with what to write instead.
PHRASES = {
    "for want of": "without, because there is no", "in vain": "timed out", "is told": "is reported",
    "turned away": "rejected", "the call is off": "usage error", "belongs into": "belongs in",
    "nameless volume": "anonymous volume", "circle of": "dependency cycle", "in a circle": "dependency cycle",
    "unless told": "by default", "carried over": "imported", "need not run": "don't have to keep running",
    "stands where": "expected", "is no port": "is not a port", "it is no(?! longer)": "it is not", "holds no": "does not contain",
    "is none of": "is not valid in", "knows no": "does not support", "has not the": "does not match",
    "to be had": "available", "can't be had": "is unavailable", "breaks off": "is truncated, is interrupted",
    "broke off": "crashed, was interrupted", "broken off": "interrupted", "stays? behind": "is kept, was not removed",
    "goes over to": "switches to", "going over": "a rotation is in progress", "passed over": "ignored",
    "tells (?:why|how|what)": "see, with the command", "tells of": "shows", "told of": "shown", "anew": "again",
    "who (?:connects|wakes|reads)": "clients that", "nobody listens": "nothing listens", "seldom": "rarely",
    "ends cleanly": "succeeds", "nameless": "anonymous", "stands (?:in no|not|twice|above)": "is", "prolong": "extend",
    "take (?:it|them) back": "restore", "take another one": "use another",
    "from before (?:stays|is)": "the old one, the previous one", "container from before": "old container",
    "the container's place": "instead of the container", "mend": "correct, repair",
    "said (?:last|nothing)": "last output, no output", "does not run (?:here|this)": "is not running",
    "another thing": "does not match",
}


def literals(path: Path) -> Iterator[str]:
    """Yield the strings of a module, f-strings' pieces included; docstrings only where click or a helper's usage shows them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    shown = {id(statement.body[0].value) for statement in ast.walk(tree)
             if isinstance(statement, ast.FunctionDef) and statement.decorator_list and isinstance(statement.body[0], ast.Expr)
             and path.parent.name == "cli"}
    if path.parent == HELPERS and isinstance(tree.body[0], ast.Expr):
        shown.add(id(tree.body[0].value))
    silent = {id(statement.value) for statement in ast.walk(tree) if isinstance(statement, ast.Expr)} - shown
    yield from (node.value for node in ast.walk(tree)
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent)


def texts() -> Iterator[tuple[str, str]]:
    """Yield where a text that users read is from, and the text."""
    for path in sorted((TOP / "ondemand_pkg").rglob("*.py")):
        yield from ((str(path.relative_to(TOP)), text) for text in literals(path))
    named = ("README.md", "CHANGELOG.md", "setup.cfg", "debian/control", "rpm/ondemand-pkg.spec")
    templates, pages = (TOP / "templates").rglob("*.j2"), (TOP / "docs").glob("*.md")
    for path in [*sorted(templates), *sorted(pages), *(TOP / name for name in named)]:
        yield str(path.relative_to(TOP)), path.read_text(encoding="utf-8")


def test_texts_of_users_have_none_of_the_phrases_that_must_be_read_twice() -> None:
    found = [f"{place}: {phrase!r}, write {plain!r}" for place, text in texts() for phrase, plain in PHRASES.items()
             if re.search(rf"\b{phrase}\b", " ".join(text.split()), re.IGNORECASE)]
    assert found == []


@pytest.mark.parametrize("part", [
    "Manage the site's repository.", "Usage: container create|renew|wake|stop|leave|remove", "is not on this host; run",
    "is still running; run", "Package: ondemand-pkg", "# What a package does on a host"])
def test_help_helpers_scripts_and_the_book_are_among_the_texts(part: str) -> None:
    assert any(part in text for _, text in texts())
