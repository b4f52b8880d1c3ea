"""The paths in a Compose file, seen from another directory.

Knows which values are paths of the host and lead from the file's directory; hides their syntaxes.
Source: compose-go, paths/resolve.go.
"""

from __future__ import annotations

import os

from ondemand_pkg.importing.yaml_lines import Located


def rebased(top: Located, directory: str) -> Located:
    """Return a whole file whose relative paths lead from a directory seen from this one."""
    if directory == ".":
        return top
    found = dict(top.value)
    for table in ("secrets", "configs"):
        if table in found and isinstance(found[table].value, dict):
            found[table] = found[table].holding({name: _key(value, "file", directory)
                                                 for name, value in found[table].value.items()})
    if "services" in found and isinstance(found["services"].value, dict):
        found["services"] = found["services"].holding({name: rebased_service(value, directory)
                                                       for name, value in found["services"].value.items()})
    return top.holding(found)


def rebased_service(service: Located, directory: str) -> Located:
    """Return a service of another file, whose relative paths lead from a directory seen from this one."""
    if directory == "." or not isinstance(service.value, dict):
        return service
    found = dict(service.value)
    for key in ("env_file", "label_file"):
        if key in found:
            found[key] = _path(found[key], directory, "path", is_path=True)
    if "volumes" in found:
        found["volumes"] = _path(found["volumes"], directory, "source", is_path=False)
    return service.holding(found)


def _key(located: Located, key: str, directory: str) -> Located:
    if not isinstance(located.value, dict) or key not in located.value:
        return located
    return located.holding({**located.value, key: _path(located.value[key], directory, "", is_path=True)})


def _path(located: Located, directory: str, key: str, is_path: bool) -> Located:
    """Return a path, or a mount that begins with one, a list of them, or a mapping that has one by a key."""
    value = located.value
    if isinstance(value, list):
        return located.holding([_path(item, directory, key, is_path) for item in value])
    if isinstance(value, dict):
        is_bind = key == "source" and "type" in value and value["type"].value == "bind"
        return located.holding({name: _path(item, directory, key, is_path or is_bind) if name == key else item
                                for name, item in value.items()})
    if isinstance(value, str) and (value[:1] not in "/~" if is_path else value.startswith(".")):
        joined = os.path.join(directory, value)
        return located.holding(joined if is_path or joined.startswith(".") else f"./{joined}")
    return located
