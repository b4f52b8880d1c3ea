"""A site's repository: what may be done to it.

Knows what each change means for the packages, suites and keys; hides locks, generations and indexes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ondemand_pkg.errors import OndemandError
from ondemand_pkg.repository import generation, keys
from ondemand_pkg.repository.directory import KEYRING, Directory, now
from ondemand_pkg.repository.generation import Additions
from ondemand_pkg.repository.pool import bring
from ondemand_pkg.repository.state import Item, State, check_suite, retire


def publish(root: Path, packages: Sequence[Path], suite: str, key: str, say: Callable[[str], None],
            valid_for: int | None = None) -> list[Path]:
    """Add packages to a suite of a repository, which is made if it is not there; return the paths that they have there.

    ``key`` names the signing key, empty for that of the repository.  ``valid_for`` is how many seconds hosts take apt's
    indexes from now on, 0 for ever, None as before.  ``say`` tells what else there is to know.  All packages go in or none.
    Raises OndemandError.
    """
    check_suite(suite)
    directory = Directory(root)
    if not directory.exists():
        keys.check(State(), key)  # before anything is made
    with directory.locked(say):
        before = directory.load()
        after = before.copy()
        keys.check(after, key)
        if valid_for is not None:
            after.valid_for = valid_for
        with directory.incoming() as incoming:
            change, paths = bring(root, after, packages, suite, incoming)
            if after != before:
                generation.show(directory, before, after, change, now(), say)
        return [root / path for path in paths]


def shown(root: Path, suite: str = "") -> list[tuple[str, Item]]:
    """Return every package with its suite, sorted, the newest version of each first; raises OndemandError."""
    state = Directory(root).existing()
    if suite and suite not in state.suites:
        raise OndemandError(f"{root}: there is no suite {suite!r}; existing suites: {', '.join(sorted(state.suites))}")
    found = [(name, state.items[path]) for name in sorted(state.suites) if not suite or name == suite
             for path in state.suites[name]]
    found.sort(key=lambda entry: entry[1].path)
    found.sort(key=lambda entry: entry[1].format.version_key(entry[1].version), reverse=True)
    return sorted(found, key=lambda entry: (entry[0], entry[1].name, entry[1].format.name))


def _matching(state: State, suite: str, names: Sequence[str]) -> dict[str, list[Item]]:
    """Return, for each NAME or NAME=VERSION, the packages of a suite that it names; raises OndemandError for none."""
    if suite not in state.suites:
        raise OndemandError(f"there is no suite {suite!r}; existing suites: {', '.join(sorted(state.suites))}")
    found = {}
    for wanted in names:
        name, _, version = wanted.partition("=")
        found[wanted] = [state.items[path] for path in sorted(state.suites[suite])
                         if state.items[path].name == name and version in ("", state.items[path].version)]
        if not found[wanted]:
            raise OndemandError(f"{wanted}: suite {suite} has no such package; see 'ondemand-pkg repo list'")
    return found


def _changed(root: Path, change: Callable[[State], list[str]], say: Callable[[str], None]) -> list[str]:
    """Apply a change that brings no files; return what it returns."""
    directory = Directory(root)
    with directory.locked(say):
        before = directory.existing()
        after = before.copy()
        keys.check(after, "")
        told = change(after)
        retire(after, now())
        if after != before:
            generation.show(directory, before, after, Additions(), now(), say)
        return told


def refresh(root: Path, say: Callable[[str], None]) -> list[Path]:
    """Renew date and signature of apt's indexes, with the packages that they have; return their paths.  Raises OndemandError."""
    directory = Directory(root)
    with directory.locked(say):
        before = directory.existing()
        after = before.copy()
        keys.check(after, "")
        generation.show(directory, before, after, Additions(renews=True), now(), say)
        return [root / "dists" / suite / "InRelease" for suite in sorted(after.suites)]


def remove(root: Path, suite: str, names: Sequence[str], say: Callable[[str], None]) -> list[str]:
    """Take packages, each NAME or NAME=VERSION, out of a suite; return their pool paths.  Raises OndemandError."""
    def change(state: State) -> list[str]:
        gone = {item.path for items in _matching(state, suite, names).values() for item in items}
        state.suites[suite] -= gone
        return sorted(gone)
    return _changed(root, change, say)


def prune(root: Path, keep: int, suite: str, say: Callable[[str], None]) -> list[str]:
    """Keep the newest versions of each package in a suite, or in all; return the pool paths taken out.

    Raises OndemandError.
    """
    def change(state: State) -> list[str]:
        gone = set()
        for name in [suite] if suite else sorted(state.suites):
            _matching(state, name, [])
            for items in _versions(state.items[path] for path in state.suites[name]):
                old = {item.path for item in items[keep:]}
                state.suites[name] -= old
                gone |= old
        return sorted(gone)
    return _changed(root, change, say)


def promote(root: Path, source: str, target: str, names: Sequence[str], say: Callable[[str], None]) -> list[str]:
    """Show packages of one suite in another too: all, or those that NAME or NAME=VERSION names; return their pool paths.

    A name without a version stands for its newest.  The keyring package is of one suite and stays there unless it is named:
    hosts of the other one would follow it to this suite.  Raises OndemandError.
    """
    check_suite(target)

    def change(state: State) -> list[str]:
        matching = _matching(state, source, names)
        found = {item.path for wanted, items in matching.items() if "=" in wanted for item in items}
        found |= {versions[0].path for wanted, items in matching.items() if "=" not in wanted for versions in _versions(items)}
        if not names:
            found = {versions[0].path for versions in _versions(state.items[path] for path in state.suites[source])
                     if versions[0].name != KEYRING}
        state.suites.setdefault(target, set()).update(found)
        return sorted(found)
    return _changed(root, change, say)


def _versions(items: Iterable[Item]) -> list[list[Item]]:
    """Return items by what they are versions of, the newest first in each."""
    found: dict[tuple[str, str, str], list[Item]] = {}
    for item in items:
        found.setdefault((item.format.name, item.name, item.architecture), []).append(item)
    return [sorted(group, key=lambda item: item.format.version_key(item.version), reverse=True) for group in found.values()]
