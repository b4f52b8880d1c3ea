"""Services of a Compose project to which nothing connects: what runs next to others, and what runs before them.

Knows which of them become companions and tasks, and of whom; hides how that is written into a declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from ondemand_pkg.frozen import frozen
from ondemand_pkg.importing.compose_service import ComposeService
from ondemand_pkg.importing.notes import Weight


@frozen
class Attendance:
    """What a service is to others, by their names: a task before some, or a companion of some and ready before some of them."""

    before: tuple[str, ...] = ()
    companion_of: tuple[str, ...] = ()


def roles(services: Mapping[str, ComposeService], without_ports: Iterable[ComposeService],
          dependencies: Mapping[str, Collection[str]], is_task: Callable[[str], bool],
          speakers: Mapping[str, Iterable[str]]) -> dict[str, Attendance]:
    """Return the roles of those without ports that have one; the others can't be kept.

    One of which another service speaks is a server whose port is not known; one that is not restarted is a job of some kind.
    """
    found = {}
    for service in without_ports:
        name = service.name
        dependents = tuple(other for other in services if name in dependencies[other])
        if service.keys.get("network_mode"):
            continue
        if is_task(name):
            if dependents:
                found[name] = Attendance(before=dependents)
        elif not any(other in services for other in speakers[name]) and not _ends(service):
            companion_of = dependents or _accompanied(name, services, dependencies)
            needed = _closure(set(dependencies[name]) - set(companion_of), dependencies)
            if companion_of and needed.isdisjoint(companion_of):
                found[name] = Attendance(dependents, companion_of)
    return found


def _ends(service: ComposeService) -> bool:
    """Tell whether a service says that it is not started again where it ends, as a companion would be."""
    value = service.keys.get("restart")
    return value is not None and service.scope.text(value).partition(":")[0] in ("no", "false", "on-failure")


def _accompanied(name: str, services: Mapping[str, ComposeService],
                 dependencies: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Return with whom a service runs that depends on others, and no other one on it: those that clients of the host reach."""
    if not dependencies[name]:
        return ()
    fronts = [other for other, service in services.items() if service.published]
    direct = tuple(other for other in fronts if other in dependencies[name])
    needed = _closure(dependencies[name], dependencies)
    return direct or tuple(other for other in fronts if other not in needed)


def _closure(names: Iterable[str], dependencies: Mapping[str, Collection[str]]) -> set[str]:
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += dependencies.get(name, ())
    return found


def write(service: ComposeService, role: Attendance, named: Callable[[str], str], place: Any) -> None:
    """Write into a draft what a service is, and take out what does not go with it; ``named`` gives declared names."""
    values = service.draft.values
    before = [named(other) for other in role.before]
    for key in ("ports", "expose", "aliases", "address"):
        values.pop(key, None)
    if role.companion_of:
        values["companion_of"] = [named(other) for other in role.companion_of]
        if "http" in values.get("ready", ()) or "tcp" in values.get("ready", ()):
            del values["ready"]
        service.note(place, "service", f"nothing connects to it: it runs while {' or '.join(values['companion_of'])} is awake",
                     Weight.CHANGED)
    else:
        values["task"] = True
        values.pop("ready", None)
        values["links"] = [link for link in values.get("links", ()) if link.partition(":")[0] not in before]
        if not values["links"]:
            del values["links"]
        service.note(place, "service", f"a task that runs to its end: once for each version, before {' and '.join(before)}; "
                     'write when = "wake" where it has to run at each wake', Weight.CHANGED)
    if before:
        values["before"] = before
