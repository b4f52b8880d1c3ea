"""Volumes, as Compose and `docker run` write them.

Knows both syntaxes and which options a declaration carries; hides which of them was used.
Source: Compose specification, "volumes"; docker-run(1), --volume.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ondemand_pkg.frozen import frozen

# Carried over as they are; `cached` and its like only mean something on other systems than Linux.
_OPTIONS = {"ro", "rw", "z", "Z", "nocopy", "shared", "slave", "private", "rshared", "rslave", "rprivate"}
_NO_EFFECT = {"cached", "delegated", "consistent", "default", ""}
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]")


@frozen
class Mount:
    """One mount; ``kind`` is "volume", "bind" or "tmpfs", ``dropped`` what was not carried over, told."""

    kind: str
    source: str
    target: str
    options: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def of_text(text: str) -> Mount:
    """Return the mount of `[SOURCE:]TARGET[:OPTIONS]`; raises ValueError, with a remedy, for what can't be carried over."""
    if _WINDOWS.match(text):
        raise ValueError(f"{text!r} is a Windows path; write one of the host")
    parts = text.split(":")
    if len(parts) > 3:
        raise ValueError(f"{text!r} has too many colons; write SOURCE:TARGET or SOURCE:TARGET:OPTIONS")
    if "" in parts:
        raise ValueError(f"{text!r} has nothing between two colons, perhaps as a variable is not set; write SOURCE:TARGET")
    source, target = ("", parts[0]) if len(parts) == 1 else (parts[0], parts[1])
    given = parts[2].split(",") if len(parts) == 3 else []
    options = tuple(option for option in given if option in _OPTIONS and option != "rw")
    unknown = [option for option in given if option not in _OPTIONS | _NO_EFFECT]
    dropped = tuple(f"the option {option!r} of {text!r} is left out; write the whole mount into create_args with --mount"
                    for option in unknown)
    kind = "bind" if source.startswith(("/", ".", "~")) else "volume"
    return Mount(kind, source, target.rstrip("/") or target, options, dropped)


def target_of(text: str) -> str:
    """Return where the mount of a text is in the container; raises ValueError."""
    return of_text(text).target


def of_mapping(keys: Mapping[str, Any]) -> Mount:
    """Return the mount of a mapping with `type`, `source`, `target` and so on; raises ValueError as ``of_text``."""
    kind = str(keys.get("type", "volume"))
    source, target = str(keys.get("source") or ""), str(keys.get("target") or "")
    if kind not in ("volume", "bind", "tmpfs"):
        raise ValueError(f"the type {kind!r} on {target}: write the mount into create_args with --mount")
    options = ["ro"] if keys.get("read_only") in (True, "true") else []
    dropped = []
    for group, part in keys.items():
        if group in ("bind", "volume", "tmpfs") and isinstance(part, Mapping):
            for key, value in part.items():
                if (group, key) == ("bind", "propagation"):
                    options.append(str(value))
                elif (group, key) == ("bind", "selinux"):
                    options.append(str(value))
                elif (group, key) == ("volume", "nocopy"):
                    options += ["nocopy"] if value in (True, "true") else []
                elif group == "tmpfs" and key in ("size", "mode"):
                    options.append(f"{key}={value:o}" if key == "mode" and isinstance(value, int) else f"{key}={value}")
                elif (group, key) != ("bind", "create_host_path"):  # what --volume does anyhow
                    dropped.append(f"{group}.{key} of {target} is left out; write the whole mount into create_args with --mount")
        elif group not in ("type", "source", "target", "read_only", "consistency") and not group.startswith("x-"):
            dropped.append(f"{group} of {target} is left out; write the whole mount into create_args with --mount")
    if not target:
        raise ValueError("a mount has no target; write SOURCE:TARGET")
    return Mount(kind, source, target.rstrip("/") or target, tuple(options), tuple(dropped))
