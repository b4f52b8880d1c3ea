"""What a repository holds, as one file of a generation keeps it.

Knows the packages, which suite shows which, the keys, and what readers may still ask for; hides the file's form.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import FORMATS, Format
from ondemand_pkg.frozen import frozen

_FORM = 3
_READ = (2, 3)  # 2 has no date and no validity
STABLE = "stable"  # the suite unless told
_SUITE = re.compile(r"[a-z0-9][a-z0-9.+-]*")


def check_suite(suite: str) -> None:
    """Raise OndemandError for what can't be the name of a suite."""
    if not _SUITE.fullmatch(suite):
        raise OndemandError(f"suite {suite!r}: allowed: lower-case letters, digits, '.', '+' and '-', a letter or digit first")


@frozen
class Item:
    """One package file of the pool; ``added`` in seconds since the epoch, ``size`` in bytes.

    ``identity`` is the SHA-256 of what a signature does not change, ``sha256`` that of the file.  ``signer`` is the
    fingerprint of the key that signed it, empty for a .deb.
    """

    path: str
    format: Format
    name: str
    version: str
    architecture: str
    identity: str
    sha256: str
    size: int
    added: int
    signer: str

    def as_json(self) -> dict[str, str | int]:
        """Return the fields, in their order, as JSON has them."""
        return {**vars(self), "format": self.format.name}


@dataclass
class State:
    """Everything that a repository holds.

    ``keys`` sign, ``public`` are served too; the first of ``keys`` signs packages.  ``suites`` maps a suite to the pool
    paths that it shows.  ``removed`` maps pool paths that were published once to their identity and the time of their
    removal (0 once the file is gone).  ``trees`` maps a tree of indexes to its files, ``held`` files of earlier
    generations to the time they were replaced.  ``keyring`` counts the versions of the keyring package, ``keyring_of``
    tells what the last one of each suite holds.  ``date`` is that of the newest indexes (0: not recorded), ``valid_for`` how long
    hosts take an index after its date (0: for ever), both in seconds.
    """

    number: int = 0
    date: int = 0
    valid_for: int = 0
    keys: list[str] = field(default_factory=list)
    public: list[str] = field(default_factory=list)
    url: str = ""
    keyring: int = 0
    keyring_of: dict[str, str] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    suites: dict[str, set[str]] = field(default_factory=dict)
    removed: dict[str, tuple[str, int]] = field(default_factory=dict)
    trees: dict[str, list[str]] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)

    def shown(self, suite: str, format: Format) -> list[Item]:
        """Return the packages of a suite in one format, sorted."""
        return sorted((self.items[path] for path in self.suites.get(suite, ()) if self.items[path].format is format),
                      key=lambda item: (item.name, item.path))

    def copy(self) -> State:
        """Return a state that can be changed for itself."""
        return replace(self, keys=[*self.keys], public=[*self.public], keyring_of={**self.keyring_of}, items={**self.items},
                       suites={suite: set(paths) for suite, paths in self.suites.items()}, removed={**self.removed},
                       trees={tree: [*files] for tree, files in self.trees.items()}, held={**self.held})

    def text(self) -> str:
        """Return the state as JSON."""
        plain: dict[str, Any] = {**vars(self), "form": _FORM,
                                 "items": [list(item.as_json().values()) for item in self.items.values()],
                                 "suites": {suite: sorted(paths) for suite, paths in sorted(self.suites.items())}}
        return json.dumps(plain)


def retire(state: State, now: int) -> None:
    """Take the packages that no suite shows from the items to what was removed, ``now`` in seconds since the epoch."""
    for path in set(state.items).difference(*state.suites.values()):
        state.removed[path] = (state.items.pop(path).identity, now)


def read(path: Path) -> State:
    """Return the state that a file holds; raises OndemandError for one that can't be read."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if plain.pop("form") not in _READ:
            raise OndemandError(f"{path}: written by another release of ondemand-pkg; use that release or a newer one")
        items = [Item(path, FORMATS[name], *values) for path, name, *values in plain.pop("items")]
        suites = {suite: set(paths) for suite, paths in plain.pop("suites").items()}
        removed = {name: (identity, when) for name, (identity, when) in plain.pop("removed").items()}
        return State(**plain, items={item.path: item for item in items}, suites=suites, removed=removed)
    except OSError as error:
        raise OndemandError(f"{path}: {error.strerror}; is it a repository that 'ondemand-pkg publish' made?") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OndemandError(f"{path}: damaged ({error}); restore it from a backup") from None
