"""The templates of what goes into packages.

Knows where they lie (in a wheel beside this file, in a checkout or an editable install one level up) and how
values are escaped for the language that they enter; hides jinja2, and that each template is compiled once: most of the time of
a build would be that.
"""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path
from typing import Any

import jinja2

_INSTALLED = Path(__file__).parents[1] / "templates"
DIRECTORY = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[2] / "templates"


def unit_value(text: str) -> str:
    """Return a text as the value of a systemd unit setting that is not split into words.

    Specifiers begin with ``%`` (systemd.unit(5), "Specifiers"); a backslash at the end would continue the line, so
    white space, which is stripped from values, stands behind it (systemd.syntax(7)).
    """
    if "\n" in text or "\r" in text or "\0" in text:
        raise ValueError(f"{text!r} can't be one line of a unit file")
    escaped = text.replace("%", "%%")
    return escaped + " " if escaped.endswith("\\") else escaped


def unit_word(text: str) -> str:
    """Return a text as one word of a command in a systemd unit (systemd.service(5), "Command lines")."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return unit_value(f'"{quoted}"')


def spec_value(text: str) -> str:
    """Return a text in which rpmbuild expands no macro (rpm-spec(5))."""
    return text.replace("%", "%%")


def control_value(text: str) -> str:
    """Return a text in which dpkg-gencontrol substitutes no variable (deb-substvars(5))."""
    return text.replace("$", "${}")


def _compiled() -> jinja2.FileSystemBytecodeCache | None:
    """Return where compiled templates are kept for the next call, None where nothing can be.

    Jinja checks each against its source and its own version, and replaces it; so there are never more than there are templates.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    directory = Path(base) / "ondemand-pkg"
    with contextlib.suppress(OSError, RuntimeError):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.stat()
        # What is there is run: nobody else may have put it there.
        if found.st_uid == os.geteuid() and not found.st_mode & 0o022 and os.access(directory, os.W_OK):
            return jinja2.FileSystemBytecodeCache(str(directory))
    return None


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(DIRECTORY), undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
        trim_blocks=True, lstrip_blocks=True, autoescape=False, auto_reload=False, bytecode_cache=_compiled())
    environment.filters["unit_value"] = unit_value
    environment.filters["unit_word"] = unit_word
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
    """Return a file of the templates that is used as it is."""
    return (DIRECTORY / name).read_bytes()
