"""What the command `ondemand` needs on a host: Python 3.6 and its standard library, and nothing of the builder.

The builder may use of it what both print, and the commands that it passes on.
"""

from __future__ import annotations

import ast
import graphlib
import sys
from pathlib import Path

import pytest
from python36 import at_run_time, imports, later_names, too_new

TOP = Path(__file__).parents[2]
FILES = sorted((TOP / "ondemand_host").glob("*.py"))
USED_BY_THE_BUILDER = {"ondemand_host.visible", "ondemand_host.main", "ondemand_host.table"}
LONGEST = 420  # lines of a module


def test_it_keeps_to_what_python_3_6_knows(tmp_path: Path) -> None:
    for path in FILES:
        (tmp_path / path.name).write_text(at_run_time(path.read_text()))
    assert too_new(tmp_path) == ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_module_is_short_keeps_to_the_syntax_of_python_3_6_and_needs_the_standard_library_alone(path: Path) -> None:
    source = path.read_text()
    tree = ast.parse(source, feature_version=(3, 6))
    assert source.count("\n") <= LONGEST and not later_names(tree)
    assert not {name for name in imports(tree) if name.partition(".")[0] not in {*sys.stdlib_module_names, "ondemand_host"}}


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {}
    for path in FILES:
        tree = ast.parse(path.read_text())
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "ondemand_host"
                 for alias in node.names}
        names |= {name.partition(".")[2] for name in imports(tree) if name.startswith("ondemand_host.")}
        graph[path.stem] = names & {other.stem for other in FILES}
    assert list(graphlib.TopologicalSorter(graph).static_order())


def test_the_builder_uses_what_both_print_and_the_commands_that_it_passes_on() -> None:
    used = {name for path in (TOP / "ondemand_pkg").rglob("*.py") for name in imports(ast.parse(path.read_text()))
            if name.partition(".")[0] == "ondemand_host"}
    assert used == USED_BY_THE_BUILDER
