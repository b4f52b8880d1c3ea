"""How Compose makes one file of several, and one service of another and what extends it.

Knows which keys are joined, which are replaced, and which items of a list are one and the same; hides the walk over both.
Source: compose-go, override/merge.go, override/uncity.go, loader/reset.go.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

from ondemand_pkg.importing import ports
from ondemand_pkg.importing.mounts import target_of
from ondemand_pkg.importing.yaml_lines import Located, scalar_text

Path = tuple[str, ...]


class Conflict(ValueError):
    """Two values can't be merged; ``located`` is the later one."""

    def __init__(self, located: Located, finding: str) -> None:
        super().__init__(finding)
        self.located = located


# Keys of a service. A list of `NAME=VALUE` and a mapping are alike there.
_SEQUENCES = {"annotations", "dns", "dns_opt", "dns_search", "env_file", "label_file", "environment", "extra_hosts", "labels",
              "sysctls", "tmpfs"}
_REPLACED = {("command",), ("entrypoint",), ("healthcheck", "test")}
_NAMES = {"depends_on", "networks", "models"}  # a list of names is a mapping without values
_SHORT = {"build": "context"}  # a single value is a mapping with this key
_UNIQUE_BY_NAME = {"annotations", "cap_add", "cap_drop", "dns", "dns_opt", "dns_search", "environment", "labels", "links",
                   "profiles", "sysctls", "tmpfs"}


def merged(base: Located, other: Located, count: Callable[[int], None], path: Path = ()) -> Located:
    """Return what two values are together, the second one winning; ``path`` leads to them from the top of a file.

    ``count`` is told how much is made, for a file may ask for more than there is.  Raises Conflict.
    """
    count(8)
    key = path[2:] if path[:1] == ("services",) else ()
    special = _special(base, other, count, path, key)
    if special is not None:
        return special
    if other.value is None:
        return base
    if isinstance(base.value, dict):
        if not isinstance(other.value, dict):
            raise Conflict(other, f"{'.'.join(path)} is a mapping at {base.place}, and none here")
        return _mappings(base, other, count, path)
    if isinstance(base.value, list):
        if not isinstance(other.value, list):
            raise Conflict(other, f"{'.'.join(path)} is a list at {base.place}, and none here")
        count(8 * len(base.value) + 8 * len(other.value))
        return other.holding([*base.value, *other.value])
    return other


def _mappings(base: Located, other: Located, count: Callable[[int], None], path: Path) -> Located:
    count(8 * len(base.value) + 8 * len(other.value))
    found = dict(base.value)
    for name, value in other.value.items():
        found[name] = merged(found[name], value, count, (*path, name)) if name in found else value
    return other.holding(found)


def _special(base: Located, other: Located, count: Callable[[int], None], path: Path, key: Path) -> Located | None:
    if key in _REPLACED:
        return other
    if len(key) == 1 and key[0] in _SEQUENCES:
        items = [*as_list(base), *as_list(other)]
        count(8 * len(items))
        return (other if other.value is not None else base).holding(items)
    if len(key) == 1 and key[0] in _NAMES:
        return _mappings(base.holding(as_names(base)), other.holding(as_names(other)), count, path)
    if len(key) == 1 and key[0] in _SHORT:
        sides = [side if isinstance(side.value, dict) else side.holding({} if side.value is None else {_SHORT[key[0]]: side})
                 for side in (base, other)]
        return _mappings(sides[0], sides[1], count, path)
    if len(key) == 2 and key[0] == "ulimits":
        return other
    if key == ("logging",) and isinstance(base.value, dict) and isinstance(other.value, dict):
        drivers = [scalar_text(side.value["driver"].value) for side in (base, other) if "driver" in side.value]
        return other if len(drivers) == 2 and drivers[0] != drivers[1] else None
    return None


def as_list(located: Located) -> list[Located]:
    """Return either syntax of a list or a mapping as the items of a list; a null value stays a bare name."""
    if isinstance(located.value, list):
        return located.value
    if isinstance(located.value, dict):
        return [item.holding(name if item.value is None else f"{name}={scalar_text(item.value)}")
                for name, value in located.value.items()
                for item in (value.value if isinstance(value.value, list) else [value])
                if not isinstance(item.value, list | dict)]
    return [] if located.value is None else [located]


def as_names(located: Located) -> dict[str, Located]:
    """Return a mapping, or a list of names as one without values."""
    if isinstance(located.value, dict):
        return located.value
    items = located.value if isinstance(located.value, list) else []
    return {scalar_text(item.value): item.holding(None) for item in items if not isinstance(item.value, list | dict)}


# --- items that are one and the same ---------------------------------------------------------------------------------


def with_unique_items(keys: Mapping[str, Located]) -> dict[str, Located]:
    """Return the keys of a service with one item of each kind in its lists; a later one takes the earlier one's place."""
    found = dict(keys)
    for key, value in keys.items():
        if key in _INDEXES and isinstance(value.value, list):
            found[key] = value.holding(_unique(value.value, _INDEXES[key]))
    return found


def _unique(items: Iterable[Located], index: Callable[[Located], str]) -> list[Located]:
    found: dict[object, Located] = {}
    for item in items:
        try:
            name: object = index(item)
        except (ValueError, TypeError, KeyError):  # told where it is converted
            name = object()
        found[name] = item
    return list(found.values())


def _text(item: Located) -> str:
    if isinstance(item.value, list | dict):
        raise TypeError
    return scalar_text(item.value)


def _name(item: Located) -> str:
    return _text(item).partition("=")[0]


def _path(item: Located) -> str:
    return _text(item.value["path"] if isinstance(item.value, dict) else item)


def _target(item: Located) -> str:
    return os.path.normpath(_text(item.value["target"]) if isinstance(item.value, dict) else target_of(_text(item)))


def _device(item: Located) -> str:
    if isinstance(item.value, dict):
        return _text(item.value["target"] if "target" in item.value else item.value["source"])
    parts = _text(item).split(":")
    return parts[1] if len(parts) > 1 else parts[0]


def _mounted(directory: str) -> Callable[[Located], str]:
    def index(item: Located) -> str:
        if isinstance(item.value, dict):
            return _text(item.value["target"]) if "target" in item.value else f"{directory}/{_text(item.value['source'])}"
        return f"{directory}/{_text(item)}"

    return index


def _port(item: Located) -> str:
    return " ".join(f"{port}/{port.protocol}" for port in ports.of(item))


_INDEXES: Mapping[str, Callable[[Located], str]] = {
    **dict.fromkeys(_UNIQUE_BY_NAME, _name), "expose": _text, "env_file": _path, "volumes": _target, "devices": _device,
    "configs": _mounted(""), "secrets": _mounted("/run/secrets"), "ports": _port,
}


# --- tags ------------------------------------------------------------------------------------------------------------


def tagged(located: Located, count: Callable[[int], None], path: Path = ()) -> list[Path]:
    """Return where a value has tags of Compose's own."""
    count(64)
    if located.tag:
        return [path]
    if not located.is_tagged:
        return []
    children = (located.value.items() if isinstance(located.value, dict)
                else ((str(index), item) for index, item in enumerate(located.value)))
    return [place for name, item in children for place in tagged(item, count, (*path, name))]


def without_resets(located: Located) -> Located:
    """Return a value without those that are to be reset; how much there is, ``tagged`` has counted."""
    if not located.is_tagged or located.tag == "!override":
        return located
    if isinstance(located.value, dict):
        return located.holding({name: without_resets(item) for name, item in located.value.items() if item.tag != "!reset"})
    return located.holding([without_resets(item) for item in located.value if item.tag != "!reset"])


def without(located: Located, places: Iterable[Path]) -> Located:
    """Return a value without what stands at some places, as far as they lead through mappings."""
    by_name: dict[str, list[Path]] = {}
    for place in places:
        if place:
            by_name.setdefault(place[0], []).append(place[1:])
    if not by_name or not isinstance(located.value, dict):
        return located
    return located.holding({name: without(item, by_name.get(name, ())) for name, item in located.value.items()
                            if () not in by_name.get(name, ())})
