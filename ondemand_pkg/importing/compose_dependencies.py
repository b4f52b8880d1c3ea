"""What the services of a Compose project depend on.

Knows the forms of `depends_on` and `links`, and their conditions; hides how a circle is found.
Source: the Compose specification.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ondemand_pkg.importing.compose_file import ComposeFile
from ondemand_pkg.importing.yaml_lines import Located


def of(scope: ComposeFile, keys: Mapping[str, Located]) -> dict[str, Located]:
    """Return what a service depends on, links included, each with where it says so."""
    found: dict[str, Located] = {}
    for key in ("depends_on", "links"):
        located = keys.get(key)
        if located is not None and isinstance(located.value, dict):
            found |= located.value
        elif located is not None and located.value is not None:
            found |= {scope.text(item).partition(":")[0]: item.holding(None) for item in scope.sequence(located, key)}
    return found


def is_awaited_to_its_end(scope: ComposeFile, name: str, dependencies: Mapping[str, Mapping[str, Located]]) -> bool:
    """Tell whether others wait until a service has run to its end."""
    return any(_condition(scope, found[name]) == "service_completed_successfully"
               for found in dependencies.values() if name in found)


def _condition(scope: ComposeFile, located: Located) -> str:
    condition = located.value.get("condition") if isinstance(located.value, dict) else None
    return "" if condition is None else scope.text(condition)


def refuse_cycles(scope: ComposeFile, services: Collection[str], dependencies: Mapping[str, Mapping[str, Located]]) -> None:
    """Refuse services that depend on each other in a circle, as Compose does.  Raises DeclarationError."""
    done: set[str] = set()
    for start in services:
        path: list[str] = []
        todo = [(start, False)]
        while todo:
            name, is_left = todo.pop()
            if is_left:
                done.add(path.pop())
                continue
            if name in path:
                circle = [*path[path.index(name):], name]
                scope.fault(dependencies[path[-1]][name], f"dependency cycle between services: {' -> '.join(circle)}",
                            "remove one of the dependencies")
            if name in done or name not in services:
                continue
            path.append(name)
            todo.append((name, True))
            todo += [(other, False) for other in dependencies[name]]
