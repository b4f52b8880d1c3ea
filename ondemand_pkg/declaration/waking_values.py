"""The kinds of value that say what wakes a container, and which requests are answered while it sleeps.

Knows which counts of datagrams make sense, which paths a request line can hold, and which answers HTTP allows; hides how they are
written.
"""

from __future__ import annotations

from typing import Any

from ondemand_pkg.declaration.values import TIME_SPAN, Invalid, Parts, Value, choice, expect, integer, line, pattern
from ondemand_pkg.waking import BODILESS, CONNECTION, DATA, Datagrams, Health

_WORDS = choice(CONNECTION, DATA)
_DATAGRAMS = {"datagrams": integer(2, 64), "within": TIME_SPAN}
_WAKE_FORM = f'{_WORDS.allowed}, or {{ datagrams = 3, within = "10s" }}'


def _wake_on(value: Any) -> str | Datagrams:
    if type(value) is not dict:
        expect(value, str, _WAKE_FORM)
        if value not in (CONNECTION, DATA):
            raise Invalid(value, f"allowed: {_WAKE_FORM}")
        return str(value)
    parts = Parts()
    found: dict[str, Any] = {}
    for key, element in value.items():
        with parts.part(f".{key}"):
            if key not in _DATAGRAMS:
                raise Invalid(element, f"allowed: {', '.join(_DATAGRAMS)}", why="unknown key")
            found[key] = _DATAGRAMS[key].parse(element)
    parts.check()
    for key in _DATAGRAMS:
        if key not in found:
            raise Invalid(value, f"allowed: {_WAKE_FORM}", why=f"{key} is missing")
    return Datagrams(**found)


WAKE_ON = Value(_WAKE_FORM, _wake_on, {"oneOf": [dict(_WORDS.schema), {
    "type": "object", "additionalProperties": False, "required": list(_DATAGRAMS),
    "properties": {key: dict(value.schema) for key, value in _DATAGRAMS.items()}}]})

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
