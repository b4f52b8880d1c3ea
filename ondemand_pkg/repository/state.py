"""What a repository holds, as one file of a generation keeps it.

Knows the packages, which suite shows which, the keys, and what readers may still ask for; hides the file's form.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ondemand_pkg.errors import OndemandError

_FORM = 1


@dataclass(frozen=True)
class Item:
    """One package file of the pool; ``added`` in seconds since the epoch, ``size`` in bytes.

    ``identity`` is the SHA-256 of what a signature does not change, ``sha256`` that of the file.
    """

    path: str
    format: str
    name: str
    version: str
    architecture: str
    identity: str
    sha256: str
    size: int
    added: int


@dataclass
class State:
    """Everything that a repository holds.

    ``keys`` sign, ``public`` are served too; the first of ``keys`` signs packages.  ``suites`` maps a suite to the pool
    paths that it shows.  ``removed`` maps pool paths that were published once to their identity and the time of their
    removal (0 once the file is gone).  ``trees`` maps a tree of indexes to its files, ``held`` files of earlier
    generations to the time they were replaced.  ``keyring`` counts the keyring package's contents, ``keyring_of`` is
    the last of them.
    """

    number: int = 0
    keys: list[str] = field(default_factory=list)
    public: list[str] = field(default_factory=list)
    url: str = ""
    keyring: int = 0
    keyring_of: str = ""
    items: dict[str, Item] = field(default_factory=dict)
    suites: dict[str, set[str]] = field(default_factory=dict)
    removed: dict[str, tuple[str, int]] = field(default_factory=dict)
    trees: dict[str, list[str]] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)

    def shown(self, suite: str, format_name: str) -> list[Item]:
        """Return the packages of a suite in one format, sorted."""
        return sorted((self.items[path] for path in self.suites.get(suite, ()) if self.items[path].format == format_name),
                      key=lambda item: (item.name, item.path))

    def text(self) -> str:
        """Return the state as JSON."""
        plain: dict[str, Any] = {**vars(self), "form": _FORM,
                                 "items": [list(vars(item).values()) for item in self.items.values()],
                                 "suites": {suite: sorted(paths) for suite, paths in sorted(self.suites.items())}}
        return json.dumps(plain)


def read(path: Path) -> State:
    """Return the state that a file holds; raises OndemandError for one that can't be read."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if plain.pop("form") != _FORM:
            raise OndemandError(f"{path}: it was written by another release of ondemand-pkg; use that one or a newer one")
        items = [Item(*values) for values in plain.pop("items")]
        suites = {suite: set(paths) for suite, paths in plain.pop("suites").items()}
        removed = {name: (identity, when) for name, (identity, when) in plain.pop("removed").items()}
        return State(**plain, items={item.path: item for item in items}, suites=suites, removed=removed)
    except OSError as error:
        raise OndemandError(f"{path}: {error.strerror}; is it a repository that 'ondemand-pkg publish' made?") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OndemandError(f"{path}: damaged ({error}); take it back from a backup") from None
