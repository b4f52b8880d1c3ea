"""The secrets and configs of a Compose service.

Knows where Compose mounts each in a container and what its content comes from; hides both forms in which a service names one.
Source: the Compose specification.
"""

from __future__ import annotations

import posixpath

from ondemand_pkg.frozen import frozen
from ondemand_pkg.importing.compose_file import ComposeFile
from ondemand_pkg.importing.yaml_lines import Located


@frozen
class Handed:
    """A secret or config as a service has it: what it is called, its file of the host if it is one, and its path inside."""

    name: str
    file: str | None
    target: str
    origin: str  # what its content is, where it is no file
    owner: str  # who has to be able to read it, nothing where that is not said


def given(scope: ComposeFile, kind: str, item: Located) -> Handed:
    """Return what an item of ``kind`` ("secrets" or "configs") gives a container."""
    keys = {} if not isinstance(item.value, dict) else scope.plain(item)
    name = str(keys.get("source", "")) if keys else scope.text(item)
    target = str(keys.get("target") or name)
    if not target.startswith("/"):
        target = f"/run/secrets/{target}" if kind == "secrets" else f"/{target}"
    table = scope.table(kind, name)
    origin = "its content"
    if "environment" in table:
        origin = f"the value of ${scope.text(table['environment'])}"
    elif "content" in table:
        origin = f"its content ({table['content'].place})"
    return Handed(name, scope.file_of(kind, name), target, origin, str(keys.get("uid") or ""))


def by_hand(one: Handed, container: str) -> str:
    """Return what to do for one that is no file of the host."""
    file = f"/etc/{container}/{posixpath.basename(one.target)}"
    readable = f" that user {one.owner} can read" if one.owner else ""
    return f'on each host, write {one.origin} into a file{readable} such as {file}, and add "{file}:{one.target}:ro" to volumes'
