"""A site's repository: what may be done to it.

Knows what each change means for the packages, suites and keys; hides locks, generations and indexes.
"""

from __future__ import annotations

import copy
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import FORMATS, rpmsign
from ondemand_pkg.repository import gpg, index, keyring
from ondemand_pkg.repository.generations import Directory, now
from ondemand_pkg.repository.index import Change
from ondemand_pkg.repository.inspect import Facts, inspect
from ondemand_pkg.repository.state import Item, State
from ondemand_pkg.repository.versions import KEYS

STABLE = "stable"
_SUITE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_WORTH_PROCESSES = 64  # fewer packages than this are read sooner than other processes have started


def check_suite(suite: str) -> None:
    """Raise OndemandError for what can't be the name of a suite."""
    if not _SUITE.fullmatch(suite):
        raise OndemandError(f"suite {suite!r}: allowed: lower-case letters, digits, '.', '+' and '-', a letter or digit first")


def publish(root: Path, packages: Sequence[Path], suite: str, key: str, waiting: Callable[[], None]) -> list[Path]:
    """Add packages to a suite of a repository, which is made if it is not there; return the paths that they have there.

    ``key`` names the signing key, empty for that of the repository.  All packages go in or none.  Raises OndemandError.
    """
    check_suite(suite)
    directory = Directory(root)
    if not directory.current.is_symlink():
        _keys(State(), key)  # before anything is made
    with directory.locked(waiting):
        before = directory.load()
        after = copy.deepcopy(before)
        _keys(after, key)
        with directory.incoming() as incoming:
            change, paths = _brought(after, packages, suite, incoming)
            if after != before:
                index.show(directory, before, after, change, now())
        return [root / path for path in paths]


def _brought(after: State, packages: Sequence[Path], suite: str, incoming: Path) -> tuple[Change, list[str]]:
    """Check packages and put them into a state; return the change and their pool paths."""
    change, paths = Change(), list[str]()
    shown = after.suites.setdefault(suite, set())
    targets = [incoming / f"{after.number}-{number}-{path.name}" for number, path in enumerate(packages)]
    for source, target, facts in zip(packages, targets, _copied(packages, targets), strict=True):
        path = facts.pool
        known = after.items[path].identity if path in after.items else after.removed.get(path, ("", 0))[0]
        known = change.facts[path].identity if path in change.facts else known
        if known and known != facts.identity:
            raise OndemandError(f"{source}: not published: {facts.name} {facts.version} was published with other content; "
                                "give it another version or release")
        if path not in after.items and path not in change.facts:
            change.files[path], change.facts[path] = target, facts
        shown.add(path)
        paths.append(path)
    _sign(change, after.keys[0])
    added = now()
    for path, facts in change.facts.items():
        data = change.files[path].read_bytes()
        after.items[path] = Item(path, facts.format, facts.name, facts.version, facts.architecture, facts.identity,
                                 hashlib.sha256(data).hexdigest(), len(data), added)
        after.removed.pop(path, None)
    return change, paths


def _copied(sources: Sequence[Path], targets: Sequence[Path]) -> list[Facts]:
    """Copy packages, and return what they say of themselves."""
    if len(sources) < _WORTH_PROCESSES:
        return list(map(_copy, sources, targets))
    from concurrent.futures import ProcessPoolExecutor  # a fifth of the time in which one package is published

    with ProcessPoolExecutor() as pool:
        return list(pool.map(_copy, sources, targets, chunksize=16))


def _copy(source: Path, target: Path) -> Facts:
    try:
        data = source.read_bytes()
    except OSError as error:
        raise OndemandError(f"{source}: not published: {error.strerror}") from None
    facts = inspect(source, data)
    target.write_bytes(data)
    return facts


def _sign(change: Change, key: str) -> None:
    """Sign the .rpms that a change brings."""
    files = [change.files[path] for path, facts in change.facts.items() if facts.format == "rpm"]
    batch = 64  # so that memory holds no more than these
    for start in range(0, len(files), batch):
        contents = [file.read_bytes() for file in files[start:start + batch]]
        try:
            signatures = gpg.detached_each([rpmsign.signed_part(data) for data in contents], key)
            for file, data, signature in zip(files[start:start + batch], contents, signatures, strict=True):
                file.write_bytes(rpmsign.sign(data, signature))
        except ValueError as error:
            names = {path: name for name, path in change.files.items()}
            raise OndemandError(f"{names[file]}: it can't be signed: {error}") from None


# --- keys --------------------------------------------------------------------------------------------------------


def _keys(state: State, key: str) -> None:
    """Check the keys of a state, after taking over the one that is asked for where it has none."""
    if key:
        fingerprint = gpg.find(key).fingerprint
        if not state.keys:
            state.keys, state.public = [fingerprint], [fingerprint]
        if fingerprint not in state.keys:
            raise OndemandError(f"key {key!r}: the repository is signed with {', '.join(state.keys)}; "
                                "'ondemand-pkg repo key rotate' goes over to another key")
    if not state.keys:
        raise OndemandError("no signing key: name one with --key KEY; 'ondemand-pkg repo key new' makes one")
    for fingerprint in state.keys:
        gpg.find(fingerprint)


def rotate(root: Path, key: str, expire: str, waiting: Callable[[], None]) -> gpg.Key:
    """Begin to go over to another key, which is made unless ``key`` names one; return it.

    From then on both keys sign every index and both are served; packages are signed by the old one, which every client
    has.  Raises OndemandError.
    """
    directory = Directory(root)
    with directory.locked(waiting):
        before = directory.existing()
        if len(before.keys) > 1:
            raise OndemandError(f"{root}: it is already going over from {before.keys[0]} to {before.keys[1]}; end that with "
                                "'ondemand-pkg repo key rotate --finish' once the hosts have the new key")
        new = gpg.find(key) if key else gpg.make(gpg.find(before.keys[0]).user, expire)
        if new.fingerprint in before.public:
            raise OndemandError(f"key {key!r}: it signs or signed this repository already; take another one")
        after = copy.deepcopy(before)
        after.keys.append(new.fingerprint)
        after.public.append(new.fingerprint)
        _reshow(directory, before, after)
        return new


def finish_rotation(root: Path, waiting: Callable[[], None]) -> str:
    """Let the new key sign alone; return its fingerprint.

    The old public key is served further: packages that it signed stay as they are.  Raises OndemandError.
    """
    directory = Directory(root)
    with directory.locked(waiting):
        before = directory.existing()
        if len(before.keys) < 2:
            raise OndemandError(f"{root}: it is not going over to another key; 'ondemand-pkg repo key rotate' begins that")
        after = copy.deepcopy(before)
        after.keys = before.keys[1:]
        _reshow(directory, before, after)
        return after.keys[0]


def keyring_packages(root: Path, url: str, suite: str, waiting: Callable[[], None]) -> list[Path]:
    """Publish the packages by which hosts join, for a repository that is served at a URL; return their paths.

    Raises OndemandError.
    """
    check_suite(suite)
    keyring.check_url(url)
    directory = Directory(root)
    with directory.locked(waiting):
        before = directory.existing()
        after = copy.deepcopy(before)
        after.url = url.rstrip("/") + "/"
        after.suites.setdefault(suite, set())
        return [root / path for path in _reshow(directory, before, after, {suite})]


def _reshow(directory: Directory, before: State, after: State, suites: set[str] | None = None) -> list[str]:
    """Show a state whose keys or URL changed, with the keyring packages that it asks for; return their pool paths.

    Without ``suites`` they go where they were.
    """
    for key in after.keys:
        gpg.find(key)
    mine = {path for path, item in after.items.items() if item.name == keyring.NAME}
    suites = suites or {suite for suite, paths in after.suites.items() if paths & mine}
    with directory.faults(), directory.incoming() as incoming:
        change, paths = Change(), list[str]()
        if after.url and suites:
            contents = keyring.Contents(gpg.dearmored(gpg.export(after.public)), after.url, sorted(suites)[0])
            if contents.digest() != after.keyring_of:
                after.keyring, after.keyring_of = after.keyring + 1, contents.digest()
            created = max(gpg.find(key).created for key in after.keys)
            files = []
            for name, writer in FORMATS.items():
                package = keyring.package(contents, name, after.keyring, created)
                file = incoming / writer.filename(package)
                with file.open("w+b") as stream:
                    writer.write(package, stream)
                files.append(file)
            for suite in sorted(suites):
                brought, paths = _brought(after, files, suite, incoming)
                change.files |= brought.files
                change.facts |= brought.facts
            for path in paths:
                content = change.files.get(path, directory.root / path).read_bytes()
                change.root[f"{keyring.NAME}{os.path.splitext(path)[1]}"] = content
        if after != before:
            index.show(directory, before, after, change, now())
        return paths


# --- packages that are there -------------------------------------------------------------------------------------


def shown(root: Path, suite: str = "") -> list[tuple[str, Item]]:
    """Return every package with its suite, sorted, the newest version of each first; raises OndemandError."""
    state = Directory(root).existing()
    if suite and suite not in state.suites:
        raise OndemandError(f"{root}: it has no suite {suite!r}; it has {', '.join(sorted(state.suites))}")
    found = [(name, state.items[path]) for name in sorted(state.suites) if not suite or name == suite
             for path in state.suites[name]]
    found.sort(key=lambda entry: entry[1].path)
    found.sort(key=lambda entry: KEYS[entry[1].format](entry[1].version), reverse=True)
    return sorted(found, key=lambda entry: (entry[0], entry[1].name, entry[1].format))


def _matching(state: State, suite: str, names: Sequence[str]) -> dict[str, list[Item]]:
    """Return, for each NAME or NAME=VERSION, the packages of a suite that it names; raises OndemandError for none."""
    if suite not in state.suites:
        raise OndemandError(f"there is no suite {suite!r}; there is {', '.join(sorted(state.suites))}")
    found = {}
    for wanted in names:
        name, _, version = wanted.partition("=")
        found[wanted] = [state.items[path] for path in sorted(state.suites[suite])
                         if state.items[path].name == name and version in ("", state.items[path].version)]
        if not found[wanted]:
            raise OndemandError(f"{wanted}: suite {suite} has no such package; 'ondemand-pkg repo list' tells what it has")
    return found


def _changed(root: Path, change: Callable[[State], list[str]], waiting: Callable[[], None]) -> list[str]:
    """Apply a change that brings no files; return what it returns."""
    directory = Directory(root)
    with directory.locked(waiting):
        before = directory.existing()
        after = copy.deepcopy(before)
        _keys(after, "")
        told = change(after)
        kept = set().union(*after.suites.values())
        for path in set(after.items) - kept:
            after.removed[path] = (after.items.pop(path).identity, now())
        if after != before:
            index.show(directory, before, after, Change(), now())
        return told


def remove(root: Path, suite: str, names: Sequence[str], waiting: Callable[[], None]) -> list[str]:
    """Take packages, each NAME or NAME=VERSION, out of a suite; return their pool paths.  Raises OndemandError."""
    def change(state: State) -> list[str]:
        gone = {item.path for items in _matching(state, suite, names).values() for item in items}
        state.suites[suite] -= gone
        return sorted(gone)
    return _changed(root, change, waiting)


def prune(root: Path, keep: int, suite: str, waiting: Callable[[], None]) -> list[str]:
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
    return _changed(root, change, waiting)


def promote(root: Path, source: str, target: str, names: Sequence[str], waiting: Callable[[], None]) -> list[str]:
    """Show packages of one suite in another too: all, or those that NAME or NAME=VERSION names; return their pool paths.

    A name without a version stands for its newest.  Raises OndemandError.
    """
    check_suite(target)

    def change(state: State) -> list[str]:
        matching = _matching(state, source, names)
        found = {item.path for wanted, items in matching.items() if "=" in wanted for item in items}
        found |= {versions[0].path for wanted, items in matching.items() if "=" not in wanted for versions in _versions(items)}
        if not names:
            found = {versions[0].path for versions in _versions(state.items[path] for path in state.suites[source])}
        state.suites.setdefault(target, set()).update(found)
        return sorted(found)
    return _changed(root, change, waiting)


def _versions(items: Iterable[Item]) -> list[list[Item]]:
    """Return items by what they are versions of, the newest first in each."""
    found: dict[tuple[str, str, str], list[Item]] = {}
    for item in items:
        found.setdefault((item.format, item.name, item.architecture), []).append(item)
    return [sorted(group, key=lambda item: KEYS[item.format](item.version), reverse=True) for group in found.values()]
