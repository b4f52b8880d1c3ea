"""What is printed goes through one place, where it is made visible: no module prints by itself."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
CODE, HOST = TOP / "ondemand_pkg", TOP / "ondemand_host"
PLACES = {CODE / "cli/shared.py", CODE / "helpers/process.py", HOST / "printing.py"}
PRINTS = {"print", "echo", "secho", "print_exc"}
STREAMS = {"stdout", "stderr"}
# Asks whether it is a terminal; hands it to a bar without foreign words.
USES_STREAMS = {CODE / "cli/packages.py", CODE / "helpers/engines/docker.py", CODE / "helpers/look.py", HOST / "main.py"}


def printing(path: Path) -> list[int]:
    """Return the lines of a module that print."""
    found = []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in PRINTS:
                found.append(node.lineno)
        elif (isinstance(node, ast.Attribute) and node.attr in STREAMS and isinstance(node.value, ast.Name)
              and node.value.id == "sys" and path not in USES_STREAMS):
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", sorted({*CODE.rglob("*.py"), *HOST.rglob("*.py")} - PLACES),
                         ids=lambda path: str(path.relative_to(TOP)))
def test_no_module_prints_by_itself(path: Path) -> None:
    assert printing(path) == []


@pytest.mark.parametrize("source", ["print(1)", "import click\nclick.echo(1)", "import sys\nsys.stderr.write('')"])
def test_printing_is_found(source: str, tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text(source)
    assert printing(tmp_path / "x.py")
