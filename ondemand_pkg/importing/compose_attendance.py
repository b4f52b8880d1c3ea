"""Services of a Compose project to which nothing connects: what runs next to others, and what runs before them.

Knows which of them become companions and tasks, and of whom; hides how that is written into a declaration.
"""

from __future__ import annotations

import re
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


_JOB = re.compile(r"(?:^|[-_.])(?:init|initial\w*|migrat\w*|seed\w*|setup|bootstrap|configurator|prepare\w*)(?:$|[-_.])")


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
        if service.keys.get("network_mode") and _mode(service) not in ("host", "none"):
            continue
        if is_task(name):
            needed = _closure(dependencies[name], dependencies)
            fronts = () if dependents else _fronts(name, services, dependencies, without_ports)
            if before := dependents or tuple(other for other in fronts if other not in needed):
                found[name] = Attendance(before=before)
        elif not any(other in services for other in speakers[name]) and not restart(service):
            if companion_of := dependents or _accompanied(name, services, dependencies, without_ports):
                found[name] = Attendance(dependents, companion_of)
    _refuse_cycles(found, services, dependencies, lambda name: _accompanied(name, services, dependencies, without_ports))
    return found


def restart(service: ComposeService) -> str:
    """Return the policy by which a service is not started again where it ends, as a companion would be; else nothing."""
    value = service.keys.get("restart")
    text = service.scope.text(value).partition(":")[0] if value is not None else ""
    return text if text in ("no", "false", "on-failure") else ""


def is_job(name: str, service: ComposeService | None) -> bool:
    """Tell whether a service says by its name and its policy that it runs to its end before others."""
    return service is not None and bool(_JOB.search(name)) and bool(restart(service))


def _mode(service: ComposeService) -> str:
    return service.scope.text(service.keys["network_mode"]) if "network_mode" in service.keys else ""


def _refuse_cycles(roles: dict[str, Attendance], services: Mapping[str, ComposeService],
                   dependencies: Mapping[str, Collection[str]], otherwise: Callable[[str], tuple[str, ...]]) -> None:
    """Let no companion wake a service that it runs with, or it kept itself awake; one without such a service has no role.

    ``otherwise`` says with whom one may run where that is so of all those that depend on it.
    """
    def required(name: str) -> list[str]:
        role = roles.get(name, Attendance())
        return [other for other in dependencies[name]
                if other in services and other not in roles and other not in role.companion_of]

    def started(names: Iterable[str]) -> set[str]:
        return _closure(names, {name: [*required(name), *(helper for helper, role in roles.items()
                                                          if name in (role.companion_of or role.before))] for name in services})

    tried = set[str]()
    is_settled = False
    while not is_settled:
        is_settled = True
        for name, role in sorted(roles.items(), key=lambda item: bool(item[1].before)):  # those first that no other one waits for
            woken = started(required(name)) & {*role.companion_of}
            if not woken:
                continue
            is_settled = False
            left = tuple(other for other in role.companion_of if other not in woken)
            if left:
                roles[name] = Attendance(tuple(other for other in role.before if other in left), left)
            elif role.companion_of and name not in tried and (others := otherwise(name)):
                tried.add(name)
                roles[name] = Attendance((), others)
            else:
                del roles[name]
            break


def _accompanied(name: str, services: Mapping[str, ComposeService], dependencies: Mapping[str, Collection[str]],
                 without_ports: Iterable[ComposeService]) -> tuple[str, ...]:
    """Return with whom a service runs that depends on others, and no other one on it."""
    fronts = _fronts(name, services, dependencies, without_ports)
    direct = tuple(other for other in fronts if other in dependencies[name])
    needed = _closure(dependencies[name], dependencies)
    return direct or tuple(other for other in fronts if other not in needed)


def _fronts(name: str, services: Mapping[str, ComposeService], dependencies: Mapping[str, Collection[str]],
            without_ports: Iterable[ComposeService]) -> list[str]:
    """Return the services that clients of the host reach, where a service depends on any other.

    Where none is published, these are the services on which no other one with a port depends.
    """
    if not dependencies[name]:
        return []
    silent = {service.name for service in without_ports}
    inner = {other for user in services if user not in silent for other in dependencies[user]}
    return ([other for other, service in services.items() if service.published and other not in silent]
            or [other for other in services if other not in silent and other not in inner])


def _closure(names: Iterable[str], dependencies: Mapping[str, Collection[str]]) -> set[str]:
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += dependencies.get(name, ())
    return found


def write(service: ComposeService, role: Attendance, named: Callable[[str], str], place: Any, is_awaited: bool) -> None:
    """Write into a draft what a service is, and take out what does not go with it.

    ``named`` gives declared names; ``is_awaited`` says that one waits for it to which clients connect.
    """
    values = service.draft.values
    before = [named(other) for other in role.before]
    if _mode(service):
        service.draft.add("create_args", f"--network={_mode(service)}")
        values.pop("links", None)
    for key in ("ports", "expose", "aliases", "address"):
        values.pop(key, None)
    if role.companion_of:
        values["companion_of"] = [named(other) for other in role.companion_of]
        if "http" in values.get("ready", ()) or "tcp" in values.get("ready", ()):
            del values["ready"]
        runs = f"it runs while {' or '.join(values['companion_of'])} is awake"
        if is_awaited:
            service.note(place, "service", f"no port of it is known, so nothing can connect to it, and {runs}; if it has one, "
                         "write 'expose:' into the service, or pull its image before the import", Weight.LOSS)
        else:
            service.note(place, "service", f"nothing connects to it: {runs}", Weight.CHANGED)
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
