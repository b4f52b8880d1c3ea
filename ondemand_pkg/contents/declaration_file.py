"""A container as the declaration that says just that.

Knows how each value of a container is told in a declaration, and in which order; hides the model.  A package carries the text,
so that whoever has the package has its declaration.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from ondemand_pkg.declaration import writer
from ondemand_pkg.model import Container, Ready, ReadyKind, Stack
from ondemand_pkg.waking import Datagrams, Health

_UNITS = (("g", 1024**3), ("m", 1024**2), ("k", 1024), ("b", 1))
_SPANS = (("h", 3600), ("min", 60), ("s", 1))
# What a reader asks first.
_ORDER = ("image", "unit", "container", "compose", "service", "version", "release", "ports", "companion_of",
          "description")


def as_toml(container: Container) -> str:
    """Return the declaration of a container, without the keys that have their default."""
    return writer.declaration([_table(container, container.table)])


def stack_as_toml(stack: Stack) -> str:
    """Return the declaration of a stack and of all its members, so that it is complete by itself."""
    return writer.declaration([_table(stack, "stack"), *(_table(member, member.table) for member in stack.members)])


def _table(declared: Container | Stack, kind: str) -> writer.Table:
    values = {field.name: getattr(declared, field.name) for field in dataclasses.fields(declared) if field.name != "name"}
    if adopted := values.pop("adopted", None):
        values.update(vars(adopted))
    defaults = {field.name: field.default for field in dataclasses.fields(declared)}
    keys = sorted(values, key=lambda key: _ORDER.index(key) if key in _ORDER else len(_ORDER))
    shown = [key for key in keys if values[key] != defaults.get(key, "") and values[key] != {} and (
        key != "image" or values[key])]
    told = {key: _plain(_FORMS[key](values[key]) if key in _FORMS else values[key]) for key in shown}
    return writer.Table(declared.name, told, kind=kind)


def _memory(value: int) -> str:
    unit, size = next((unit, size) for unit, size in _UNITS if value % size == 0)
    return f"{value // size}{unit}"


def _log_limit(value: int | None) -> str:
    return "none" if value is None else _memory(value)


def _span(value: float) -> str:
    if value != int(value):
        return f"{value:.6f}s"
    unit, seconds = next((unit, seconds) for unit, seconds in _SPANS if value % seconds == 0)
    return f"{int(value) // seconds}{unit}"


def _ready(ready: Ready) -> dict[str, Any]:
    told: Any = {ReadyKind.HTTP: ready.path, ReadyKind.EXEC: ready.argv, ReadyKind.LOG: ready.text,
            ReadyKind.UDP: {"send": ready.send.hex(), "expect": ready.expect.hex()}}.get(ready.kind, True)
    status = {"status": ready.status} if ready.kind is ReadyKind.HTTP else {}
    return {ready.kind.value: told, **status, "timeout": _span(ready.timeout)}


def _health(health: Health) -> dict[str, Any]:
    return {"path": health.path, "status": health.status, **({"body": health.body} if health.body else {})}


def _wake_on(wake_on: str | Datagrams) -> Any:
    return {"datagrams": wake_on.datagrams, "within": _span(wake_on.within)} if isinstance(wake_on, Datagrams) else wake_on


_FORMS: dict[str, Callable[[Any], Any]] = {
    "members": lambda members: tuple(member.name for member in members),
    "expose": lambda ports: tuple(map(str, ports)), "memory": _memory, "log_limit": _log_limit, "ready": _ready,
    "stop_timeout": _span, "task_timeout": _span, "excludes_timeout": _span, "udp_timeout": _span, "data_timeout": _span,
    "idle": _span, "health": _health,
    "wake_on": _wake_on,
    "depends": lambda depends: {kind: names for kind, names in vars(depends).items() if names},
    "changelog": lambda releases: tuple(vars(release) for release in releases),
}


def _plain(value: Any) -> Any:
    """Return a value as TOML has it."""
    if isinstance(value, bool | int | float | date):
        return value
    if isinstance(value, Mapping):
        return {key: _plain(element) for key, element in value.items()}
    return [_plain(element) for element in value] if isinstance(value, tuple) else str(value)
