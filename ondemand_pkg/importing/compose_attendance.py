"""Services of a Compose project to which nothing connects: what runs next to others, and what runs before them.

Knows which of them become companions and tasks, and of whom; hides how that is written into a declaration.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from ondemand_pkg.importing import attendance
from ondemand_pkg.importing.attendance import Attendance
from ondemand_pkg.importing.compose_service import ComposeService
from ondemand_pkg.importing.notes import Weight

_JOB = re.compile(r"(?:^|[-_.])(?:init|initial\w*|migrat\w*|seed\w*|setup|bootstrap|configurator|prepare\w*)(?:$|[-_.])")


def roles(services: Mapping[str, ComposeService], without_ports: Iterable[ComposeService],
          dependencies: Mapping[str, Collection[str]], is_task: Callable[[str], bool],
          speakers: Mapping[str, Iterable[str]]) -> dict[str, Attendance]:
    """Return the roles of those without ports that have one; the others can't be kept.

    One of which another service speaks is a server whose port is not known; one that is not restarted is a job of some kind.
    """
    silent = {service.name: service for service in without_ports}

    def may_accompany(name: str) -> bool:
        return not any(other in services for other in speakers[name]) and not restart(silent[name])

    kept = [name for name, service in silent.items() if not _mode(service) or _mode(service) in ("host", "none")]
    return attendance.roles(services, {name for name, service in services.items() if service.published}, silent, dependencies,
                            [name for name in kept if is_task(name)], [name for name in kept if not is_task(name)
                                                                       and may_accompany(name)])


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


def write(service: ComposeService, role: Attendance, named: Callable[[str], str], place: Any, is_awaited: bool) -> None:
    """Write into a draft what a service is, and take out what does not go with it.

    ``named`` gives declared names; ``is_awaited`` says that one waits for it to which clients connect.
    """
    values = service.draft.values
    before = [named(other) for other in role.before]
    if _mode(service):
        if "network_of" not in values:
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
