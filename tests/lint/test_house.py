"""The rooms of the builder: what each may import, no circle anywhere, no module that is too long, no class name twice.

helpers/ stands apart: its files run on hosts, where they import each other by their plain names.  So does ondemand_host, which
is a package of its own: test_host_code.py.
"""

from __future__ import annotations

import ast
import graphlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

CODE = Path(__file__).parents[2] / "ondemand_pkg"
LONGEST = 420  # lines of a module
# Each room with those that it may import, and why it may.
ALLOWED: dict[str, tuple[set[str], str]] = {
    "layout": (set(), "names and paths follow from nothing"),
    "errors": (set(), "an error is a text"),
    "frozen": (set(), "values of all kinds behave in one way"),
    "regular_file": (set(), "a file is opened for whoever asks"),
    "adopted": ({"frozen"}, "what was there before a package is a name"),
    "listening": ({"frozen"}, "an address of the host knows no container"),
    "parts": ({"frozen"}, "a part of a container knows no container"),
    "week": ({"frozen"}, "hours are those of any week"),
    "waking": ({"frozen"}, "what wakes is asked of no container"),
    "package": ({"frozen"}, "a package as plain values knows no format and no container"),
    "formats": ({"frozen", "layout", "package"}, "a format writes and reads any package, whoever made it"),
    "model": ({"adopted", "frozen", "layout", "listening", "package", "parts", "waking", "week"},
              "a container knows what it is called, where it is listened on and when it is awake, and may carry a content of a "
              "package"),
    "engines": ({"formats", "frozen", "model", "package"},
                "an engine says what a package of each format must bring for a container"),
    "declaration": ({"engines", "errors", "formats", "frozen", "layout", "model", "regular_file", "waking", "week"},
                    "what is written is checked against engines, formats and the addresses that follow from names"),
    "contents": ({"declaration", "engines", "errors", "formats", "layout", "model", "package", "waking"},
                 "a package is made from a container, its engine and its format, with its declaration as a document"),
    "repository": ({"contents", "declaration", "errors", "formats", "frozen", "layout", "model", "package", "regular_file"},
                   "packages are published by what their files say; declarations are raised for a rebuild"),
    "importing": ({"declaration", "engines", "errors", "frozen", "model"}, "what is imported becomes a declaration"),
    "checking": ({"contents", "declaration", "engines", "errors", "frozen", "model", "waking"},
                 "rules look at declarations, systemd at their units"),
    "exporting": ({"declaration", "engines", "errors", "frozen", "model"}, "manifests are written from declarations"),
    "building": ({"contents", "engines", "errors", "formats", "frozen", "layout", "model", "package"},
                 "containers become packages once an engine has settled their images"),
    "comparing": ({"building", "declaration", "engines", "errors", "formats", "frozen", "layout", "package", "regular_file"},
                  "a side may be a declaration, which is built for it"),
    "fleet": ({"errors", "frozen", "package"}, "hosts are asked by what they print, as anybody else's program would"),
    "cli": ({"building", "checking", "comparing", "declaration", "errors", "exporting", "fleet", "formats", "importing", "model",
             "package", "repository"}, "a command calls any room"),
}
# What the repository may know of how packages are made: the documents of any package, and its own page.
OF_CONTENTS = {"ondemand_pkg.contents.documents", "ondemand_pkg.contents.rendering"}
# Archives have writers and members, each told by its module.
NAMED_BY_THEIR_MODULE = {"Writer", "Member"}

OUTSIDE = {"helpers", "__init__.py", "__main__.py"}  # of any room
FILES = sorted(path for path in CODE.rglob("*.py") if path.relative_to(CODE).parts[0] not in OUTSIDE)


def name_of(path: Path) -> str:
    parts = path.relative_to(CODE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    return module.split(".")[1]


MODULES = {name_of(path): path for path in FILES}


def loaded(node: ast.AST) -> Iterator[str]:
    """Yield the modules of the builder that code imports, at any time, less those that only its types need."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in MODULES)
    elif isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            yield from (name for name in (f"{node.module}.{alias.name}", node.module) if name in MODULES)
    for child in ast.iter_child_nodes(node):
        yield from loaded(child)


def imports(module: str) -> set[str]:
    """Return what a module imports; that a package's own modules load the package first is no import of it."""
    found = set(loaded(ast.parse(MODULES[module].read_text(encoding="utf-8")))) - {module}
    return {name for name in found if not module.startswith(f"{name}.")}


def test_the_table_has_every_room_and_no_circle() -> None:
    assert set(ALLOWED) == {room_of(module) for module in MODULES}
    assert list(graphlib.TopologicalSorter({room: below for room, (below, _) in ALLOWED.items()}).static_order())


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_what_it_may_and_needs_what_it_may_import(room: str) -> None:
    used = {room_of(name) for module in MODULES if room_of(module) == room for name in imports(module)} - {room}
    assert used == ALLOWED[room][0]


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert list(graphlib.TopologicalSorter({module: imports(module) for module in MODULES}).static_order())


def test_the_repository_does_not_know_what_the_package_of_a_container_holds() -> None:
    used = {name for module in MODULES if room_of(module) == "repository" for name in imports(module)}
    assert {name for name in used if room_of(name) == "contents"} - {"ondemand_pkg.contents"} == OF_CONTENTS


@pytest.mark.parametrize("module", MODULES)
def test_a_module_can_be_read_in_one_go(module: str) -> None:
    assert MODULES[module].read_text(encoding="utf-8").count("\n") <= LONGEST


def test_no_two_classes_have_one_name() -> None:
    names = Counter(node.name for path in FILES for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                    if isinstance(node, ast.ClassDef))
    assert {name for name, count in names.items() if count > 1} == NAMED_BY_THEIR_MODULE


@pytest.mark.parametrize("module", [module for module in MODULES if room_of(module) != "formats"])
def test_no_module_asks_for_the_name_of_a_format(module: str) -> None:
    """What depends on the format is a field of the object (ondemand_pkg/formats/__init__.py)."""
    compared: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Compare):
            compared += [node.left, *node.comparators]
        elif isinstance(node, ast.Dict):
            compared += node.keys
    names = ("deb", "rpm", ".deb", ".rpm")
    assert not [node.lineno for node in compared if isinstance(node, ast.Constant) and node.value in names]
