"""What helpers need on a host: Python 3.6 and its standard library.  What only types need is not loaded at a wake."""

from __future__ import annotations

import ast
import dataclasses
import sys
from pathlib import Path

import pytest
from python36 import at_run_time, imports, later_names, too_new

from ondemand_pkg.contents.helper_files import DIRECTORY, programs
from ondemand_pkg.model import SOCKET_PROXYD, Container, Port, TcpAddress

NGINX = Container("nginx", "nginx:1.27", "1.27.0", (Port(TcpAddress(None, 80), 80),))
HELPERS = sorted(DIRECTORY.rglob("*.py"))
PROGRAMS = {name: text for proxy in (NGINX.proxy, SOCKET_PROXYD)
            for name, text in programs(dataclasses.replace(NGINX, proxy=proxy)).items()}
# The C parts of `socket` and `signal`: in every version of CPython, although not under the documented names.
C_PARTS = {"_socket", "_signal"}


def not_on_every_host(source: str) -> set[str]:
    """Return the modules that a helper imports and that a host may lack, or that cost a wake what only types need."""
    neighbours = {".".join(path.relative_to(DIRECTORY).with_suffix("").parts).removesuffix(".__init__") for path in HELPERS}
    allowed = (set(sys.stdlib_module_names) - {"typing", "__future__"}) | neighbours | C_PARTS
    return {name for name in imports(ast.parse(source)) if name not in allowed and name.partition(".")[0] not in allowed}


def test_helpers_and_their_programs_keep_to_what_python_3_6_knows(tmp_path: Path) -> None:
    for name, text in PROGRAMS.items():
        (tmp_path / f"program-{name}.py").write_text(text)
    for path in HELPERS:
        (tmp_path / "_".join(path.relative_to(DIRECTORY).parts)).write_text(at_run_time(path.read_text()))
    assert too_new(tmp_path) == ""


@pytest.mark.parametrize("path", HELPERS, ids=lambda path: path.name)
def test_a_helper_keeps_to_the_syntax_and_the_methods_of_python_3_6(path: Path) -> None:
    assert not later_names(ast.parse(path.read_text(), feature_version=(3, 6)))


@pytest.mark.parametrize(("source", "found"), [
    ("import subprocess\nsubprocess.run([], capture_output=True)\n", "subprocess.run(capture_output)"),
    ("import dataclasses\n", "dataclasses"),
    ("import time\ntime.time_ns()\n", "time.time_ns"),
    ("if (size := 1):\n    pass\n", "named expressions"),
    ("from __future__ import annotations\n", "annotations"),
    ("def some(names: list[str]):\n    pass\n", "builtin generic type annotation"),
    ("if TYPE_CHECKING:\n    import typing\nelse:\n    import zoneinfo\n", "zoneinfo"),
    ("print(f'{1=}')\n", "f-strings")])
def test_what_came_after_python_3_6_is_found(tmp_path: Path, source: str, found: str) -> None:
    (tmp_path / "new.py").write_text(at_run_time(source))
    assert found in too_new(tmp_path)


def test_types_that_only_a_type_checker_sees_may_be_new(tmp_path: Path) -> None:
    source = ("TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from typing import (\n        Protocol)\n\n"
              "    class Seen(Protocol):\n"
              "        name: str\n\n\ndef some(names: 'list[str] | None' = None) -> 'Seen':\n    found: 'list[str]' = []\n")
    (tmp_path / "types.py").write_text(at_run_time(source))
    assert too_new(tmp_path) == "" and at_run_time(source).splitlines()[8:] == source.splitlines()[8:]


@pytest.mark.parametrize("source", ["name.removeprefix('x')\n", "path.unlink(missing_ok=True)\n"])
def test_a_method_that_came_after_python_3_6_is_found_whatever_it_belongs_to(source: str) -> None:
    assert later_names(ast.parse(source))


@pytest.mark.parametrize("path", HELPERS, ids=lambda path: path.name)
def test_a_helper_needs_the_standard_library_alone_and_loads_no_types(path: Path) -> None:
    assert not_on_every_host(path.read_text()) == set()


@pytest.mark.parametrize(("source", "found"), [
    ("import click\n", {"click"}),
    ("from ondemand_pkg import model\n", {"ondemand_pkg"}),
    ("def late():\n    import docker.errors\n", {"docker.errors"}),
    ("from . import names\n", {"."}),
    ("import typing\n", {"typing"}),
    ("from typing import Optional\n", {"typing"}),
    ("TYPE_CHECKING = False\nif TYPE_CHECKING:\n    pass\nelse:\n    import typing\n", {"typing"}),
    ("TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from typing import Optional\n", set()),
    ("import os.path\nimport _socket\nfrom names import say\n", set())])
def test_an_import_that_a_host_may_lack_is_found(source: str, found: set[str]) -> None:
    assert not_on_every_host(source) == found


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_only_calls_its_module(name: str) -> None:
    """Its text is not checked for types, and is compiled at each start."""
    tree = ast.parse(PROGRAMS[name])
    *first, last = tree.body
    assert isinstance(last, ast.Expr) and all(isinstance(statement, ast.Import | ast.ImportFrom) for statement in first)
    # An engine is chosen when a package is built, and so by its programs.
    assert {module for module in imports(tree) if not module.startswith("engines.")} == {"sys", name}
