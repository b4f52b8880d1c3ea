"""What containers may declare that are never awake at the same time, and what is wrong among those of a call.

Knows which containers need each other awake; hides how far that leads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ondemand_pkg.declaration import attendance


def contradictions(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield each key whose value does not go with ``excludes``, what is wrong with it, and what to do instead."""
    excluded = arguments.get("excludes", ())
    if "excludes_timeout" in arguments and not excluded:
        yield "excludes_timeout", "nothing is excluded", 'write excludes = ["NAME"] too, or leave it out'
    if excluded and attendance.is_started_by_others(arguments):
        yield "excludes", "others start this container and wait for it, not clients", (
            "write excludes into the containers that it is started for")
    links = {link.target for link in arguments.get("links", ())}
    for name in excluded:
        if name in links:
            yield "links", f'"{name}" is in excludes too: it is never awake at the same time', "leave one of the two out"


def clashes(containers: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, str, str]]:
    """Yield what is wrong among the containers of a call, by their arguments: name, key, finding, remedy."""
    if not any(arguments.get("excludes") for arguments in containers.values()):
        return
    needing = {name: set(others) for name, others in attendance.needing(containers).items()}
    reached = {name: _reached(name, needing) for name in containers}
    for name, arguments in containers.items():
        links = {link.target for link in arguments.get("links", ())}
        for other in arguments.get("excludes", ()):
            if other == name:
                yield name, "excludes", f'found "{other}"; that is this container itself', "leave it out"
                continue
            if containers.get(other, {}).get("unit"):
                yield name, "excludes", f'found "{other}"; excluding an adopted service is not supported', "leave it out"
            if attendance.is_started_by_others(containers.get(other, {})):
                yield (name, "excludes", f'found "{other}"; others start that one and wait for it, not clients',
                       "name the containers that it is started for")
            needer = next((one for one, found in reached.items() if {name, other} <= found), "")
            if needer:
                both = f"{needer!r} needs both awake" if needer not in (name, other) else (
                    f"{needer!r} needs {(other if needer == name else name)!r} awake")
                yield name, "excludes", f'found "{other}"; {both}: it could never start', "leave one of the two out"
            elif name in {link.target for link in containers.get(other, {}).get("links", ())} and name not in links:
                yield (other, "links", f"found \"{name}\"; the container {name!r} excludes this one, so it is never awake at the "
                       "same time", "leave one of the two out")


def _reached(name: str, needing: Mapping[str, set[str]]) -> set[str]:
    """Return the containers that a wake of one wakes too, with itself."""
    found, left = set[str](), [name]
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += needing.get(one, ())
    return found
