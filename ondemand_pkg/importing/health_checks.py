"""Health checks as `podman` and `docker` take them from a command line.

Knows their forms (a JSON array, CMD, CMD-SHELL, none, a line for the shell) and how long a container may take until its check
succeeds; hides which engine's rules apply.  Source: podman-run(1), --health-cmd; docker-run(1).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from ondemand_pkg.declaration import values as kinds

_UNITS = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_INTERVAL, _RETRIES = 30.0, 3  # of both engines


def argv(text: str, is_docker: bool) -> list[str] | None:
    """Return the command of a health check, None where it switches the check off, and nothing where it says nothing."""
    words = _array(text)
    if is_docker or words is None:
        keyword, _, rest = text.strip().partition(" ")
        if text.strip().lower() == "none":
            return None
        if is_docker or keyword.upper() not in ("CMD", "CMD-SHELL"):
            return ["/bin/sh", "-c", text.strip()] if text.strip() else []
        return ["/bin/sh", "-c", rest.strip()] if keyword.upper() == "CMD-SHELL" else rest.split()
    if words and words[0].upper() == "NONE":
        return None
    if words and words[0].upper() == "CMD":
        return words[1:]
    if words and words[0].upper() == "CMD-SHELL":
        return ["/bin/sh", "-c", " ".join(words[1:])]
    return words if len(words) > 1 else ["/bin/sh", "-c", words[0]] if words else []


def _array(text: str) -> list[str] | None:
    if not text.lstrip().startswith("["):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) and all(isinstance(word, str) for word in found) else None


def limit(options: Mapping[str, str]) -> float:
    """Return after how many seconds the check has failed for good, 0 where no option says so: start period, then all retries."""
    if not {"interval", "retries", "start-period"} & set(options):
        return 0
    retries = options.get("retries", "")
    found = seconds(options.get("start-period", "")) + (seconds(options.get("interval", "")) or _INTERVAL) * (
        int(retries) if re.fullmatch("[1-9][0-9]{0,5}", retries) else _RETRIES)
    if "startup-cmd" in options:
        retries = options.get("startup-retries", "")
        found += (seconds(options.get("startup-interval", "")) or _INTERVAL) * (
            int(retries) if re.fullmatch("[1-9][0-9]{0,5}", retries) else 0)
    return min(found, 86400.0)


def seconds(text: str) -> float:
    """Return a duration ("1m30s", "90", "2min") in seconds, 0 for what is none."""
    text = text.strip()
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(h|ms|us|µs|ns|m|s)", text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    try:
        return kinds.time_span(text)
    except kinds.Invalid:
        return 0


def ports(command: list[str]) -> list[int]:
    """Return the ports of this very container that a check asks: `localhost:3000`, `127.0.0.1:3000`, `[::1]:3000`."""
    found = re.findall(r"(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\]):([0-9]{1,5})(?![0-9])", " ".join(command))
    return [number for number in dict.fromkeys(map(int, found)) if 0 < number < 65536]
