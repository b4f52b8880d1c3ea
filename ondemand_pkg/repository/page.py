"""The page at a repository's root.

Knows what a visitor asks of it (how to join, what there is); hides HTML.  Every text of a package is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape

from ondemand_pkg.contents.rendering import plain, render
from ondemand_pkg.repository import keyring
from ondemand_pkg.repository.gpg import Key
from ondemand_pkg.repository.inspect import Facts
from ondemand_pkg.repository.state import Item, State

PLACEHOLDER = "http://packages.example/"
_SCRIPT = "repository/page.js"


def _text(foreign: str) -> str:
    """Return a text of somebody else as HTML, without what neither HTML nor a reader's eye takes for what it is."""
    return escape("".join(character if character.isprintable() or character in "\n\t" else "\ufffd" for character in foreign))


def told(facts: Facts) -> tuple[bytes, bytes]:
    """Return what the page says of a package beside its versions and files, as HTML: summary and container; declaration."""
    rows = [("Image", f"<code>{_text(facts.image)}</code>" if facts.image else ""),
            ("Listens on", ", ".join(f"<code>{_text(port)}</code>" for port in facts.ports))]
    table = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows if value)
    card = f"<p>{_text(facts.summary)}</p>" + (f"<dl>{table}</dl>" if table else "")
    text = facts.declaration
    declaration = f"<details><summary>Declaration</summary><pre>{_text(text)}</pre></details>" if text else ""
    return card.encode(errors="replace"), declaration.encode(errors="replace")


def render_page(state: State, cards: Mapping[str, tuple[bytes, ...]], keys: Sequence[Key], has_keyring: bool) -> str:
    """Return the page; ``cards`` are what ``told`` says, by pool path."""
    by_name: dict[str, list[Item]] = {}
    for item in state.items.values():
        by_name.setdefault(item.name, []).append(item)
    suites: dict[str, list[str]] = {}
    for suite, paths in sorted(state.suites.items()):
        for path in paths:
            suites.setdefault(path, []).append(suite)
    packages = "\n".join(_package(name, by_name[name], suites, cards) for name in sorted(by_name))
    url = state.url or PLACEHOLDER
    suite = "stable" if "stable" in state.suites or not state.suites else min(state.suites)
    script = plain(_SCRIPT).decode()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return render("repository/index.html.j2", url=escape(url), is_example=not state.url,
                  sources=escape(keyring.sources(url, suite)), repo=escape(keyring.repo(url, suite, bool(state.url))),
                  keys=[(_text(key.user), key.spaced) for key in keys],
                  has_keyring=has_keyring, packages=packages, count=len(by_name), script=script, digest=digest,
                  keyring=keyring.PATH, suites=", ".join(sorted(state.suites)))


def _package(name: str, items: Sequence[Item], suites: Mapping[str, Sequence[str]],
             cards: Mapping[str, tuple[bytes, ...]]) -> str:
    versions: dict[str, list[Item]] = {}
    for item in items:
        versions.setdefault(item.version, []).append(item)
    # The versions that this project writes compare alike under the rules of both formats.
    order = sorted(versions, key=items[0].format.version_key, reverse=True)
    first = versions[order[0]][0]
    card, declaration = (part.decode() for part in cards[first.path][:2])
    rows = [_version(version, versions[version], suites) for version in order]
    older = (f"<details><summary>Earlier versions ({len(rows) - 1})</summary><ul>{''.join(rows[1:])}</ul></details>"
             if rows[1:] else "")
    return (f'<article id="{escape(name)}"><h3><a href="#{escape(name)}">{escape(name)}</a></h3>{card}'
            f"<ul>{rows[0]}</ul>{older}{declaration}</article>")


def _version(version: str, items: Sequence[Item], suites: Mapping[str, Sequence[str]]) -> str:
    links = ", ".join(f'<a href="{escape(item.path)}">.{item.format.name}</a> <span>{_size(item.size)}</span>'
                      for item in sorted(items, key=lambda item: item.format.name))
    day = datetime.fromtimestamp(min(item.added for item in items), UTC).date()
    names = ", ".join(sorted({suite for item in items for suite in suites.get(item.path, ())}))
    return f'<li><b>{escape(version)}</b> <time datetime="{day}">{day}</time> <i>{escape(names)}</i> {links}</li>'


def _size(size: int) -> str:
    """Return a size as people read it, with three digits at most."""
    value, units = float(size), ["B", "KiB", "MiB", "GiB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.3g} {units[0]}"
