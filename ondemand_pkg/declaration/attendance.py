"""What the containers that nothing connects to may declare, and what is wrong among those of a call.

Knows which keys a companion excludes, and which containers would keep each other awake or wait for each other; hides how
containers are looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ondemand_pkg.model import Ready, ReadyKind

_OF_CLIENTS = ("idle", "idle_mode", "idle_action", "proxy", "proxy_protocol", "allow")
_BY_PORT = {ReadyKind.TCP: "tcp", ReadyKind.HTTP: "http"}


def has_no_ports(table: Mapping[str, Any]) -> bool:
    """Tell whether a container is one that needs no ports."""
    return bool(table.get("companion_of"))


def default_ready(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the readiness check of a container that declares none, where it is not that of all others."""
    return {"ready": Ready(ReadyKind.STARTED)} if has_no_ports(arguments) and "ready" not in arguments else {}


def contradictions(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield each key whose value does not go with that of another one, what is wrong with it, and what to do instead."""
    companion_of, before = arguments.get("companion_of", ()), arguments.get("before", ())
    if before and not companion_of:
        yield "before", "it says for whom a companion is ready first, and this container is none", "write companion_of too"
    if not has_no_ports(arguments):
        return
    for key in ("ports", "expose"):
        if arguments.get(key):
            yield key, "a companion to which clients connect is not supported yet", (
                "leave companion_of out: a connection wakes it; or leave the key out")
    for key in _OF_CLIENTS:
        if key in arguments:
            yield key, "nothing connects to a companion, and it sleeps when the last container of companion_of does", (
                "leave the key out")
    ready = arguments.get("ready")
    if ready is not None and ready.kind in _BY_PORT and not ready.ports:
        yield "ready", f"{_BY_PORT[ready.kind]} asks a port, and a companion has none", (
            'write "started", or a table with healthcheck, exec or log')
    for name in before:
        if companion_of and name not in companion_of:
            yield "before", f'found "{name}", which is not in companion_of', "write it into companion_of too, or leave it out"
    for name in companion_of:
        if name in arguments.get("requires", ()):
            yield "requires", f'"{name}" would be kept awake by its own companion, and never sleep', "leave it out: it is awake"


def needing(containers: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, tuple[str, str]]]:
    """Return which containers each one of a call starts, keeps awake or waits for, and where that is declared: name and key."""
    found: dict[str, dict[str, tuple[str, str]]] = {name: {} for name in containers}
    for name, arguments in containers.items():
        for other in arguments.get("requires", ()):
            found[name].setdefault(other, (name, "requires"))
        for service in arguments.get("companion_of", ()):
            found.setdefault(service, {}).setdefault(name, (name, "companion_of"))
    return found
