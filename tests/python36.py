"""What of a source Python 3.6 does not know.

Knows vermin, what it can't see, and that code for type checkers does not run; hides how it is called.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

# What is right although vermin can't see it.
EXCLUDED = {
    "os.splice": "streams asks hasattr() and copies the bytes itself where there is none",
    "os.pidfd_open": "engines/podman asks for it, and has another way where there is none",
    "socket.close": "a method of a variable called socket, taken for the function of the module",
}
# Names that vermin finds only where it knows the type of what they belong to.
LATER = {"removeprefix", "removesuffix", "isascii", "is_relative_to", "bit_count", "fromisoformat", "capture_output",
         "missing_ok"}


def is_for_types(node: ast.AST) -> TypeGuard[ast.If]:
    """Return whether code runs for type checkers alone."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def at_run_time(source: str) -> str:
    """Return a source without what is for type checkers alone, each line in its place."""
    lines = source.splitlines()
    for node in filter(is_for_types, ast.walk(ast.parse(source))):
        first, last = node.body[0], node.body[-1]
        assert last.end_lineno is not None
        lines[first.lineno - 1:last.end_lineno] = [" " * first.col_offset + "pass"] * (last.end_lineno - first.lineno + 1)
    return "\n".join(lines) + "\n"


def too_new(directory: Path) -> str:
    """Return what vermin finds in a directory that Python 3.6 does not know; only annotations in strings are not evaluated."""
    excluded = [argument for name in EXCLUDED for argument in ("--exclude", name)]
    done = subprocess.run([sys.executable, "-c", "from vermin import main; main()", "--no-config-file", "-t=3.6-", "--no-tips",
                           "--violations", "--quiet", "--no-parse-comments", "--eval-annotations", *excluded, str(directory)],
                          capture_output=True, text=True)
    assert done.returncode == (1 if done.stdout else 0) and not done.stderr, done
    return done.stdout


def later_names(tree: ast.Module) -> set[str]:
    """Return the attributes and keyword arguments that came after Python 3.6 and that vermin may pass over."""
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return LATER & (used | {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg})


def imports(node: ast.AST) -> Iterator[str]:
    """Yield the names of the modules that are imported at run time, wherever the code does so."""
    if is_for_types(node):
        for other in node.orelse:
            yield from imports(other)
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield "." * node.level + (node.module or "")
    for child in ast.iter_child_nodes(node):
        yield from imports(child)
