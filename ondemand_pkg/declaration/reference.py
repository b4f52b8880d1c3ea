"""What the table of keys says to people and to editors.

Knows the forms (help, reference page, JSON Schema); hides that all of them come from one table.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from ondemand_pkg.declaration.adoptions import ADOPT_FIELDS, KINDS
from ondemand_pkg.declaration.fields import FIELDS, NAME, STACK_FIELDS, Field


def summary() -> list[tuple[str, str]]:
    """Return each key and what it is, for the help of the command line."""
    return [(field.key + ("*" if field.in_package else ""), _short(field)) for field in FIELDS]


def _short(field: Field) -> str:
    text = field.help.split(": ")[0].split("; ")[0].rstrip(".")
    return text + (" (required)" if field.required else "")


def markdown(fields: Sequence[Field]) -> str:
    """Return a section for each key for the reference page, so that each has an anchor of its own name."""
    return "\n" + "\n".join(line for field in fields for line in _section(field))


def stack_markdown() -> str:
    """Return the keys of a stack for the reference page: those of a container by a link, its own as sections."""
    shared = ", ".join(f"[`{field.key}`](#{field.key})" for field in STACK_FIELDS if field in FIELDS)
    own = [line for field in STACK_FIELDS if field not in FIELDS for line in _section(field, " of a stack")]
    return f"\nA stack has these keys of a container too: {shared}.\n\n" + "\n".join(own)


def adopt_markdown() -> str:
    """Return the keys of an adopted service in the same way."""
    shared = ", ".join(f"[`{field.key}`](#{field.key})" for field in ADOPT_FIELDS if field in FIELDS)
    own = [line for field in ADOPT_FIELDS if field not in FIELDS for line in _section(field, " of an adopted service")]
    return f"\nAn adopted service has these keys of a container too: {shared}.\n\n" + "\n".join(own)


def _section(field: Field, of: str = "") -> list[str]:
    in_words = field.default not in ("true", "false") and field.default.replace(" ", "").isalpha()
    default = field.default if in_words else f"`{field.default}`"
    rows = ["- Required" if field.required else f"- Default: {default}" if field.default else "",
            "- May stand in `[package]`" if field.in_package else ""]
    allowed = html.escape(field.value.allowed, quote=False)
    return [f"### `{field.key}`{of}", "", field.help, "", f"- Takes {allowed}", *filter(None, rows), "",
            "```toml", f"{field.key} = {field.example}", "```", ""]


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a declaration, from which editors complete."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ondemand-pkg declaration",
        "type": "object",
        "additionalProperties": False,
        "anyOf": [{"required": ["container"]}, {"required": ["adopt"]}, {"required": ["stack"]}],
        "properties": {
            "package": _table([field for field in FIELDS if field.in_package], []),
            "container": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": NAME.schema["pattern"]},
                "additionalProperties": {
                    **_table(list(FIELDS), [f.key for f in FIELDS if f.required and not f.in_package]),
                    "anyOf": [{"required": [key]} for key in ("ports", "expose", "companion_of", "task")]},
            },
            "adopt": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": NAME.schema["pattern"]},
                "additionalProperties": {
                    **_table(list(ADOPT_FIELDS), ["ports"]), "oneOf": [{"required": [kind]} for kind in KINDS],
                    "dependentRequired": {"compose": ["service"], "service": ["compose"]}},
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
