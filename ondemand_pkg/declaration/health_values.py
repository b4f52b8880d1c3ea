"""The kind of value that says which requests are answered while a container sleeps.

Knows which paths a request line can hold, and which answers HTTP allows; hides how they are written.
"""

from __future__ import annotations

from typing import Any

from ondemand_pkg.declaration.values import Invalid, Parts, Value, expect, integer, line, pattern
from ondemand_pkg.waking import BODILESS, Health

_FORM = '{ path = "/healthz", status = 200, body = "asleep" }'
_PATH = pattern(r"/[!-\"$->@-~]{0,999}", 'the path of a URL without a query, such as "/healthz", of at most 1000 characters')
_PARTS = {"path": _PATH, "status": integer(200, 599), "body": line("a line of text", 1000)}


def _health(value: Any) -> Health:
    expect(value, dict, _FORM)
    parts = Parts()
    found: dict[str, Any] = {}
    for key, element in value.items():
        with parts.part(f".{key}"):
            if key not in _PARTS:
                raise Invalid(element, f"allowed: {', '.join(_PARTS)}", why="unknown key")
            found[key] = _PARTS[key].parse(element)
    parts.check()
    if "path" not in found:
        raise Invalid(value, f"allowed: {_FORM}", why="path is missing")
    if found.get("status") in BODILESS and "body" in found:
        why = f"an answer with status {found['status']} has no body"
        raise Invalid(value, "leave body out, or write another status", why=why)
    return Health(**found)


HEALTH = Value(_FORM, _health, {
    "type": "object", "additionalProperties": False, "required": ["path"],
    "properties": {key: dict(value.schema) for key, value in _PARTS.items()}})
