"""Package files on their way into the pool.

Knows which of them may go in and what each becomes there; hides copying, signing and the processes that do it.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from ondemand_pkg import layout, regular_file
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import read_rpm, rpmsign
from ondemand_pkg.formats.blocks import sha256
from ondemand_pkg.package import BLOCK
from ondemand_pkg.repository import gpg
from ondemand_pkg.repository.directory import now
from ondemand_pkg.repository.generation import Additions
from ondemand_pkg.repository.inspect import Facts, inspect
from ondemand_pkg.repository.signed_files import sign_files
from ondemand_pkg.repository.state import Item, State

_WORTH_PROCESSES = 64  # fewer packages than this are read sooner than other processes have started


def bring(root: Path, after: State, packages: Sequence[Path], suite: str, incoming: Path) -> tuple[Additions, list[str]]:
    """Check packages and put them into a state; return the change and their pool paths.  Raises OndemandError."""
    change, paths = Additions(), list[str]()
    shown = after.suites.setdefault(suite, set())
    targets = [incoming / f"{after.number}-{number}-{path.name}" for number, path in enumerate(packages)]
    held = dict[str, str]()  # pool paths whose file is still there, and who signed it
    for source, target, facts in zip(packages, targets, _copied(packages, targets), strict=True):
        path = facts.pool
        _check(source, facts, after, change)
        if path not in after.items and path not in change.facts:
            change.facts[path] = facts
            by = _held(root, path, facts, after)
            if by is None:
                change.files[path] = target
            else:
                held[path] = by
        shown.add(path)
        paths.append(path)
    sign_files({path: file for path, file in change.files.items() if change.facts[path].format.is_signed}, after.keys[0])
    added = now()
    for path, facts in change.facts.items():
        with change.files.get(path, root / path).open("rb") as stream:
            digest, size = sha256(stream), stream.tell()
        by = held.get(path, after.keys[0] if facts.format.is_signed else "")
        after.items[path] = Item(path, facts.format, facts.name, facts.version, facts.architecture, facts.identity,
                                 digest, size, added, by)
        after.removed.pop(path, None)
    return change, paths


def _check(source: Path, facts: Facts, after: State, change: Additions) -> None:
    """Raise OndemandError where the name of a file stands for something else."""
    path = facts.pool
    here = change.facts.get(path) or after.items.get(path)
    if here and here.version != facts.version:
        raise OndemandError(f"{source}: not published: {here.name} {here.version} has the same file name, "
                            "which does not contain the epoch; give it another version or release")
    known = here.identity if here else after.removed.get(path, ("", 0))[0]
    if known and known != facts.identity:
        remedy = "raise its version or release"
        if facts.members:
            name = facts.name.removeprefix(layout.PREFIX)
            remedy = (f"its members or what is said of them changed: raise stack.{name}.release or stack.{name}.version in the "
                      "declaration, or that of [package]")
        raise OndemandError(f"{source}: not published: {facts.name} {facts.version} was already published with other content; "
                            + remedy)


def _held(root: Path, path: str, facts: Facts, after: State) -> str | None:
    """Return who signed the file of a package that was removed, if it is still there for readers of an older index.

    Those expect the bytes that it has: a new signature would be another file under its name.  "" is that of a .deb, which
    nobody signs; None where it is gone or damaged, or its key is served no more.
    """
    file = root / path
    if path not in after.removed or not file.exists():
        return None
    try:
        with file.open("rb") as stream:
            if inspect(file, stream).identity != facts.identity:
                return None
            if not facts.format.is_signed:
                return ""
            stream.seek(0)
            front = read_rpm.front(stream)
    except OndemandError:
        return None
    keyring = gpg.dearmored(gpg.export(after.public))
    return min(gpg.good_signers(rpmsign.signed_part(front), rpmsign.signature(front), keyring, or_expired=True), default=None)


def _copied(sources: Sequence[Path], targets: Sequence[Path]) -> list[Facts]:
    """Copy packages, and return what they say of themselves."""
    if len(sources) < _WORTH_PROCESSES:
        return list(map(_copy, sources, targets))
    from concurrent.futures import ProcessPoolExecutor  # a fifth of the time in which one package is published

    with ProcessPoolExecutor() as pool:
        return list(pool.map(_copy, sources, targets, chunksize=16))


def _copy(source: Path, target: Path) -> Facts:
    try:
        stream = regular_file.opened(source)
    except OSError as error:
        raise OndemandError(f"{source}: not published: {error.strerror}") from None
    with stream, target.open("w+b") as copy:
        shutil.copyfileobj(stream, copy, BLOCK)
        copy.seek(0)
        return inspect(source, copy)
