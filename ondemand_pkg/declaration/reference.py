"""What the table of keys says to people and to editors.

Knows the forms (help, reference page, JSON Schema); hides that all of them come from one table.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from ondemand_pkg.declaration.fields import BY_KEY, FIELDS, NAME, STACK_FIELDS, Field


def summary() -> str:
    """Return a line for each key, for the help of the command line."""
    width = max(map(len, BY_KEY)) + 2
    return "\n".join(f"  {field.key + ('*' if field.in_package else ''):<{width}} {_short(field)}" for field in FIELDS)


def _short(field: Field) -> str:
    text = field.help.split(": ")[0].split("; ")[0].rstrip(".")
    return text + (" (required)" if field.required else "")


def markdown(fields: Sequence[Field] = FIELDS) -> str:
    """Return the table of keys for the reference page."""
    lines = ["| key | takes | default | what it does |", "|---|---|---|---|"]
    for field in fields:
        default = "required" if field.required else f"`{field.default}`" if field.default else ""
        place = " Also in `[package]`." if field.in_package else ""
        allowed = html.escape(field.value.allowed, quote=False).replace("|", "\\|")
        lines.append(f"| `{field.key}` | {allowed}; `{field.example}` | {default} | {field.help}{place} |")
    return "\n".join(lines) + "\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a declaration, from which editors complete."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ondemand-pkg declaration",
        "type": "object",
        "additionalProperties": False,
        "anyOf": [{"required": ["container"]}, {"required": ["stack"]}],
        "properties": {
            "package": _table([field for field in FIELDS if field.in_package], []),
            "container": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": NAME.schema["pattern"]},
                "additionalProperties": {
                    **_table(list(FIELDS), [f.key for f in FIELDS if f.required and not f.in_package]),
                    "anyOf": [{"required": ["ports"]}, {"required": ["expose"]}]},
            },
            "stack": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": NAME.schema["pattern"]},
                "additionalProperties": _table(list(STACK_FIELDS), []),
            },
        },
    }


def _table(fields: list[Field], required: list[str]) -> dict[str, Any]:
    properties = {field.key: {**field.value.schema, "description": field.help} for field in fields}
    return {"type": "object", "additionalProperties": False, "properties": properties,
            **({"required": required} if required else {})}
