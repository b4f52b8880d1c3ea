"""From which words of a Compose file the ports of a service are known.

Knows where people write a port beside `ports` and `expose`: the words of other services, labels and variables for reverse
proxies, health checks, the image; hides the patterns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ondemand_pkg.engines import references
from ondemand_pkg.importing.image import exposed
from ondemand_pkg.importing.ports import WELL_KNOWN

Ask = Callable[[str], Mapping[str, Any]]  # what an engine tells of an image, {} where it does not have it

_LABEL = re.compile(r"traefik\.(?:http|tcp)\.services\.[^.]+\.loadbalancer\.server\.port|traefik\.port|.*\.proxy\.port")
_CADDY = re.compile(r"\{\{\s*upstreams\s+(?:https?\s+)?([0-9]{1,5})\s*\}\}")
_VARIABLES = ("VIRTUAL_PORT",)
_SELF = r"(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])"
_URL = re.compile(rf"(https?)://(?:[^/@\s]*@)?{_SELF}(?::([0-9]{{1,5}}))?(?![\w.-])")
_ADDRESS = re.compile(rf"{_SELF}(?::|[ /])([0-9]{{1,5}})(?![\w.])")


def of_words(labels: Mapping[str, str], env: Mapping[str, str]) -> list[int]:
    """Return the ports that labels name for a reverse proxy."""
    found = [value for label, value in labels.items() if _LABEL.fullmatch(label)]
    found += [match[1] for value in labels.values() if (match := _CADDY.search(value))]
    found += [env[name] for name in _VARIABLES if name in env]
    return _ports(found)


def of_health_check(test: Iterable[str]) -> list[int]:
    """Return the ports of the container itself that its health check asks."""
    text = " ".join(test)
    found = [match[2] or {"http": "80", "https": "443"}[match[1]] for match in _URL.finditer(text)]
    return _ports(found or [match[1] for match in _ADDRESS.finditer(text)])


def of_image(image: str, ask: Ask | None) -> tuple[list[int], str]:
    """Return the ports on which an image's server listens, and who says so."""
    config = (ask(image) if ask else {}).get("Config") or {}
    found = [number for number, protocol in exposed(config) if protocol == "tcp"]
    if found:
        return found, "the image exposes"
    name = references.parsed(image).name
    return ([WELL_KNOWN[name]], f"{name} listens on") if name in WELL_KNOWN else ([], "")


def _ports(texts: Iterable[str]) -> list[int]:
    return list(dict.fromkeys(int(text) for text in texts if re.fullmatch(r"[0-9]{1,5}", text) and 0 < int(text) < 65536))
