"""The templates of what goes into packages.

Knows where they lie (in a wheel beside this file, in a checkout or an editable install one level up) and how
values are escaped for the language that they enter; hides jinja2.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jinja2

_INSTALLED = Path(__file__).parent / "templates"
DIRECTORY = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parent.parent / "templates"


def unit_value(text: str) -> str:
    """Return a text as the value of a systemd unit setting that is not split into words.

    Specifiers begin with ``%`` (systemd.unit(5), "Specifiers"); a backslash at the end would continue the line, so
    white space, which is stripped from values, stands behind it (systemd.syntax(7)).
    """
    if "\n" in text or "\r" in text or "\0" in text:
        raise ValueError(f"{text!r} can't be one line of a unit file")
    escaped = text.replace("%", "%%")
    return escaped + " " if escaped.endswith("\\") else escaped


def spec_value(text: str) -> str:
    """Return a text in which rpmbuild expands no macro (rpm-spec(5))."""
    return text.replace("%", "%%")


def control_value(text: str) -> str:
    """Return a text in which dpkg-gencontrol substitutes no variable (deb-substvars(5))."""
    return text.replace("$", "${}")


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(DIRECTORY), undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
        trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.filters["unit_value"] = unit_value
    environment.filters["spec_value"] = spec_value
    environment.filters["control_value"] = control_value
    return environment


@functools.cache
def _template(name: str) -> jinja2.Template:
    return _environment().get_template(name)


def render(name: str, **values: Any) -> str:
    """Return a template with its values put in; ``name`` is its path below the templates."""
    return _template(name).render(**values)


@functools.cache
def plain(name: str) -> bytes:
    """Return a file of the templates that goes into packages as it is."""
    return (DIRECTORY / name).read_bytes()
