"""The page for contributors is true of the code: its map, its paths, its commands."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
CODE = TOP / "ondemand_pkg"
PAGE = (TOP / "docs/contributing.md").read_text(encoding="utf-8")
MAP = re.findall(r"^\| `([a-z_]+(?:/|\.py))` \|", PAGE.split("## The map")[1].split("Outside `ondemand_pkg/`")[0], re.MULTILINE)
CODED = [*re.findall(r"`([^`\n]+)`", PAGE), *re.findall(r"^[$#] (.*)$", PAGE, re.MULTILINE)]
ELSEWHERE = "dist/"  # what is built is in no checkout


def rooms() -> set[str]:
    """Return every folder of the package with Python in it, and the modules that are in none."""
    folders = {f"{path.parent.relative_to(CODE).parts[0]}/" for path in CODE.rglob("*.py") if path.parent != CODE}
    return folders | {path.name for path in CODE.glob("*.py") if not path.name.startswith("__")}


def room_of(module: str) -> str:
    """Return the room of a module, given its name without that of the package."""
    first = module.partition(".")[0]
    return f"{first}.py" if (CODE / f"{first}.py").exists() else f"{first}/"


def imported(node: ast.AST) -> Iterator[str]:
    """Yield the modules of the package that code imports, less those that only its types need."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module == CODE.name:
        yield from (f"{CODE.name}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
    for child in ast.iter_child_nodes(node):
        yield from imported(child)


def test_every_room_is_on_the_map_and_the_map_shows_no_other() -> None:
    assert set(MAP) == rooms() and len(MAP) == len(set(MAP))


@pytest.mark.parametrize("room", MAP)
def test_a_room_imports_only_from_those_below_it_on_the_map(room: str) -> None:
    allowed = {*MAP[MAP.index(room):]} - {"helpers/" if room != "helpers/" else ""}
    for path in sorted((CODE / room).rglob("*.py")) if room.endswith("/") else [CODE / room]:
        modules = {name.partition(".")[2] for name in imported(ast.parse(path.read_text(encoding="utf-8")))
                   if name.startswith(f"{CODE.name}.")} - {"__version__"}
        assert {room_of(module) for module in modules} <= allowed, path


def test_every_path_on_the_page_is_there() -> None:
    paths = [word for text in CODED for word in text.split() if re.fullmatch(r"(\.ci|[a-z_]+)/[\w./-]*", word)]
    assert "tests/hosts/" in paths and "tools/host" in paths
    assert [path for path in paths if not path.startswith(ELSEWHERE) and not (TOP / path).exists()
            and not (CODE / path).exists()] == []


def test_every_test_command_on_the_page_names_tests_that_are_there() -> None:
    commands = [shlex.split(text) for text in CODED if "-m pytest" in text]
    assert len(commands) >= 4
    for command in commands:
        path = TOP / next(word for word in command if word.startswith("tests/"))
        files = [path] if path.is_file() else sorted(path.glob("test_*.py"))
        chosen = command[command.index("-k") + 1] if "-k" in command else "test"
        assert any(chosen in file.read_text(encoding="utf-8") or path.parent.name == "hosts" for file in files), command
