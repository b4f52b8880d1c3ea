"""A container as the declaration that says just that.

Knows which keys are told, and the model's values as a declaration has them; hides the model.  A package carries the text, so that
whoever has the package has its declaration.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from ondemand_pkg.declaration.writer import key, value
from ondemand_pkg.model import Container, Ready, ReadyKind

_UNITS = (("g", 1024**3), ("m", 1024**2), ("k", 1024), ("b", 1))
_SPANS = (("h", 3600), ("min", 60), ("s", 1))
_NO_KEYS = ("name", "carried")  # of a table
_ORDER = ("image", "version", "release", "ports", "description")  # what a reader asks first


def as_toml(container: Container) -> str:
    """Return the declaration of a container, without the keys that have their default."""
    values = {field.name: getattr(container, field.name) for field in dataclasses.fields(container) if field.name not in _NO_KEYS}
    defaults = {field.name: field.default for field in dataclasses.fields(container)}
    names = [*_ORDER, *(name for name in values if name not in _ORDER)]
    shown = [name for name in names if values[name] != defaults[name] and (values[name] != {} or name == "ports")]
    width = max(map(len, shown))
    lines = [f"{name:<{width}} = {value(_plain(_FORMS.get(name, _same)(values[name])))}" for name in shown]
    return "\n".join([f"[container.{key(container.name)}]", *lines, ""])


def _plain(item: Any) -> Any:
    """Return a value of those that TOML has: addresses, ports, volumes and the like as their text."""
    if isinstance(item, tuple):
        return [_plain(element) for element in item]
    if isinstance(item, Mapping):
        return {name: _plain(element) for name, element in item.items()}
    return item if isinstance(item, str | bool | int | float | date) else str(item)


def _same(item: Any) -> Any:
    return item


def _memory(value: int) -> str:
    unit, size = next((unit, size) for unit, size in _UNITS if value % size == 0)
    return f"{value // size}{unit}"


def _span(value: float) -> str:
    if value != int(value):
        return f"{value:.6f}s"
    unit, seconds = next((unit, seconds) for unit, seconds in _SPANS if value % seconds == 0)
    return f"{int(value) // seconds}{unit}"


def _ready(ready: Ready) -> dict[str, Any]:
    told = {ReadyKind.HTTP: ready.path, ReadyKind.EXEC: ready.argv, ReadyKind.LOG: ready.text}.get(ready.kind, True)
    status = {"status": ready.status} if ready.kind is ReadyKind.HTTP else {}
    return {ready.kind.value: told, **status, "timeout": _span(ready.timeout)}


_FORMS: dict[str, Callable[[Any], Any]] = {
    "memory": _memory, "stop_timeout": _span, "idle": _span, "ready": _ready,
    "depends": lambda depends: {kind: names for kind, names in vars(depends).items() if names},
    "changelog": lambda releases: tuple(vars(release) for release in releases),
}
