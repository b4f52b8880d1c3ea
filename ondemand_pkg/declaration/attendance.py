"""What the containers that nothing connects to may declare, and what is wrong among those of a call.

Knows which keys a companion or a task excludes, and which containers would keep each other awake or wait for each other; hides
how containers are looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ondemand_pkg.model import Ready, ReadyKind

_OF_CLIENTS = ("idle", "idle_mode", "idle_action", "proxy", "path", "proxy_protocol", "allow", "wake_at", "keep_awake", "wake_on",
               "data_timeout", "health")
_OF_SLEEP = ("idle", "idle_mode", "idle_action", "proxy", "wake_at", "keep_awake", "wake_on", "data_timeout", "health")
_BY_PORT = {ReadyKind.TCP: "tcp", ReadyKind.HTTP: "http"}


def has_no_ports(table: Mapping[str, Any]) -> bool:
    """Tell whether a container is one that needs no ports and has none."""
    return bool(table.get("task") or table.get("companion_of") and not has_clients(table))


def is_started_by_others(table: Mapping[str, Any]) -> bool:
    """Tell whether a container is a companion or a task."""
    return bool(table.get("companion_of") or table.get("task"))


def has_clients(table: Mapping[str, Any]) -> bool:
    """Tell whether clients connect to a container."""
    return bool(table.get("ports") or table.get("expose"))


def default_ready(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the readiness check of a container that declares none, where it is not that of all others."""
    is_silent = arguments.get("companion_of") and not has_clients(arguments)
    return {"ready": Ready(ReadyKind.STARTED)} if is_silent and "ready" not in arguments else {}


def contradictions(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield each key whose value does not go with that of another one, what is wrong with it, and what to do instead."""
    companion_of, before = arguments.get("companion_of", ()), arguments.get("before", ())
    if before and not is_started_by_others(arguments):
        yield "before", "it says what waits for a task or a companion, and this container is neither", (
            "write task = true or companion_of too")
    if arguments.get("task"):
        yield from _of_task(arguments)
        return
    for key in ("when", "task_timeout", "schedule"):
        if key in arguments:
            yield key, "it says how a task runs, and this container is none", "write task = true too, or leave it out"
    if not companion_of:
        return
    for key in _OF_SLEEP if has_clients(arguments) else _OF_CLIENTS:
        if key in arguments:
            yield key, ("a companion sleeps when the last container of companion_of does, and no client is connected to it"
                        if has_clients(arguments) else
                        "nothing connects to a companion, and it sleeps when the last container of companion_of does"), (
                "leave the key out")
    ready = arguments.get("ready")
    if not has_clients(arguments) and ready is not None and ready.kind in _BY_PORT and not ready.ports:
        yield "ready", f"{_BY_PORT[ready.kind]} asks a port, and a companion has none", (
            'write "started", or a table with healthcheck, exec or log')
    for name in before:
        if companion_of and name not in companion_of:
            yield "before", f'found "{name}", which is not in companion_of', "write it into companion_of too, or leave it out"
    for name in companion_of:
        if name in arguments.get("requires", ()):
            yield "requires", f'"{name}" would be kept awake by its own companion, and never sleep', "leave it out: it is awake"


def _of_task(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for key in ("ports", "expose", "ready", "companion_of", "metrics", *_OF_CLIENTS):
        if key in arguments:
            yield key, "a task runs to its end: nothing connects to it or waits until it is ready", "leave the key out"
    before, is_scheduled = arguments.get("before", ()), "schedule" in arguments
    if not before and not is_scheduled:
        yield "task", "nothing waits for it, so it would never run", (
            'write before = ["NAME"]: a wake of that container runs it; or schedule = "03:30"')
    if before and is_scheduled:
        yield "schedule", "a task runs before others or by the clock, not both", "leave one of before and schedule out"
    if "when" in arguments and is_scheduled:
        yield "when", "a task that runs by the clock runs at each moment of its schedule", "leave it out"
    for name in before:
        if name in {link.target for link in arguments.get("links", ())}:
            yield ("links", f'"{name}" starts only once this task has ended: a connection to it would wait for itself',
                   "leave it out")


def needing(containers: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, tuple[str, str]]]:
    """Return which containers each one of a call starts, keeps awake or waits for, and where that is declared: name and key."""
    found: dict[str, dict[str, tuple[str, str]]] = {name: {} for name in containers}
    for name, arguments in containers.items():
        for other in arguments.get("requires", ()):
            found[name].setdefault(other, (name, "requires"))
        if (gateway := arguments.get("network_of")) and gateway not in arguments.get("companion_of", ()):
            found[name].setdefault(gateway, (name, "network_of"))
        for service in arguments.get("companion_of", ()):
            found.setdefault(service, {}).setdefault(name, (name, "companion_of"))
        for service in arguments.get("before", ()) if arguments.get("task") else ():
            found.setdefault(service, {}).setdefault(name, (name, "before"))
    return found
