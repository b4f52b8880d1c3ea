"""The words of an engine, its commands, paths and units, are in the room of engines alone: another can stand beside it."""

from __future__ import annotations

import ast
import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
CODE = TOP / "ondemand_pkg"
WORD = re.compile("docker|podman", re.IGNORECASE)
ALLOWED = {
    "engines/docker*.py": "Docker, as packages are built for it",
    "engines/adopted.py": "a container that is there already may be either's",
    "engines/choice.py": "names the engines that there are",
    "engines/podman.py": "Podman, as packages are built for it",
    "engines/swarm.py": "a swarm is one of Docker's engines",
    "helpers/engines/swarm.py": "asks Docker of its swarm",
    "helpers/engines/docker*.py": "what asks Docker on hosts",
    "helpers/engines/podman*.py": "what asks Podman on hosts",
    "helpers/engines/forwarding.py": "knows what an engine drops, and the one door that it leaves",
    "helpers/engines/image_volumes.py": "knows where an engine keeps the data that it has of a service",
    "helpers/engines/adopted.py": "asks either for a container that is there already",
    "helpers/engines/compose.py": "knows labels that begin with the name of one",
    "helpers/engines/chosen.py": "knows which of the two has a container",
    "importing/compose.py": "tells what to do by Docker's command first",
    "importing/compose_service.py": "names the options of Docker that keys of Compose stand for",
    "engines/references.py": "names the registry that short names mean",
    "importing/compose_load.py": "names the files that Compose looks for",
    "importing/health_checks.py": "reads a check by the rules of the engine that it was written for",
    "importing/container.py": "reads what Docker knows of a container, and tells what to do there",
    "importing/origins.py": "asks the engine of this machine for containers and images",
    "importing/command_line.py": "reads command lines of both engines",
    "engines/option_values.py": "knows which engine takes which values",
    "importing/option_remedies.py": "names what one engine has and the other does not",
    "importing/quadlet.py": "reads what Podman reads",
    "importing/quadlet_project.py": "tells how to import what is left by a command line",
    "importing/run_options.py": "reads options of both engines",
    "building/images.py": "asks the engine of this machine for images",
    "cli/importing.py": "help of the commands that ask Docker",
    "declaration/container_values.py": "errors for people, who know options and sizes as Docker writes them",
    "declaration/fields.py": "help for the same people",
    "declaration/adoptions.py": "help and errors for the same people",
}


def said(tree: ast.AST) -> Iterator[str]:
    """Yield the names and texts of code, less its docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            yield node.value if isinstance(node.value, str) else node.value.decode("latin-1")
        for name in ("id", "attr", "name", "arg", "module", "asname"):
            if isinstance(word := getattr(node, name, None), str):
                yield word


def is_import_of_the_room(word: str) -> bool:
    return word.startswith(f"{CODE.name}.engines.")


def words_of_engines(path: Path) -> list[str]:
    return [word for word in said(ast.parse(path.read_text(encoding="utf-8")))
            if WORD.search(word) and not is_import_of_the_room(word)]


@pytest.mark.parametrize("path", sorted(CODE.rglob("*.py")), ids=lambda path: str(path.relative_to(CODE)))
def test_code_outside_of_the_engines_room_has_no_word_of_an_engine(path: Path) -> None:
    place = str(path.relative_to(CODE))
    if not any(fnmatch.fnmatch(place, allowed) for allowed in ALLOWED):
        assert words_of_engines(path) == []


@pytest.mark.parametrize("path", sorted((TOP / "templates").rglob("*.j2")), ids=lambda path: str(path.relative_to(TOP)))
def test_templates_have_no_word_of_an_engine(path: Path) -> None:
    assert WORD.findall(re.sub(r"\{#.*?#\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)) == []


@pytest.mark.parametrize("allowed", ALLOWED)
def test_what_is_allowed_is_there_and_needed(allowed: str) -> None:
    files = sorted(CODE.glob(allowed))
    assert files and all(words_of_engines(file) for file in files)
