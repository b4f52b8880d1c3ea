"""Which declarations of a site have to be built again, because an older release of ondemand-pkg built their packages.

Knows when a published package is due and which release number comes next; hides how that is written into a declaration: in its
own line alone, and the file is replaced as a whole.
"""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ondemand_pkg import __version__
from ondemand_pkg.declaration import reader
from ondemand_pkg.declaration.reader import Declared
from ondemand_pkg.declaration.toml_lines import KeyLines
from ondemand_pkg.errors import DeclarationError, Fault, OndemandError
from ondemand_pkg.formats import DEB, FORMATS
from ondemand_pkg.formats.versions import compare_deb
from ondemand_pkg.frozen import frozen
from ondemand_pkg.model import Container
from ondemand_pkg.repository.directory import Directory
from ondemand_pkg.repository.inspect import built_by
from ondemand_pkg.repository.state import Item, State

_RELEASE = re.compile(r"[0-9]+(?:\.[0-9]+)*(?:[.~+][A-Za-z0-9]+)*")
_FIRST = "0.1.0"  # as which a package counts that does not say which release built it
_KEY = re.compile(r"""(?<![A-Za-z0-9_-])(release["']?[ \t]*=[ \t]*)(\+?[0-9_]+)""")


@frozen
class _Due:
    """A declared container whose packages are older, and the release number of those that replace them."""

    declared: Declared
    release: int


def raised(root: Path, older_than: str, paths: Sequence[str]) -> list[Container]:
    """Raise the release of every container whose newest package has helpers older than a release; return these containers.

    A declaration that is newer than what the repository has is not raised again, so that a call that was broken off can be
    repeated.  Raises OndemandError, and then no declaration has changed unless one of them can't be written.
    """
    if not _RELEASE.fullmatch(older_than):
        raise OndemandError(f"--older-than {older_than!r}: allowed: a release of ondemand-pkg, such as {__version__}")
    if compare_deb(older_than, __version__) > 0:
        raise OndemandError(f"--older-than {older_than}: this is ondemand-pkg {__version__}, so rebuilt packages would be older "
                            f"too; upgrade ondemand-pkg, or give at most {__version__}")
    declared = reader.read_declared(paths)
    state = Directory(root).existing()
    due, faults = list[_Due](), list[Fault]()
    for one in declared:
        try:
            release = _next_release(root, state, one.container, older_than)
        except ValueError as error:
            faults.append(Fault(one.path, one.line("version"), one.container.place, str(error)))
        else:
            if release is not None:
                due.append(_Due(one, release))
    texts = {}
    for path in dict.fromkeys(one.declared.path for one in due):
        try:
            texts[path] = _changed(path, [one for one in due if one.declared.path == path], declared)
        except DeclarationError as error:
            faults += error.faults
    if faults:
        raise DeclarationError(faults)
    for path, text in texts.items():
        _replace(path, text)
    names = {one.declared.container.name for one in due}
    return [container for container in reader.read(paths) if container.name in names]


def _next_release(root: Path, state: State, container: Container, older_than: str) -> int | None:
    """Return the release number of the packages that are due, None where none is; raises ValueError."""
    items = [item for item in state.items.values() if item.name == container.package_name]
    if not items:
        raise ValueError(f"{root} does not have the package {container.package_name}; "
                         "publish it first, or leave out its declaration")
    newest: list[Item] = []
    for format in {item.format for item in items}:
        newest.append(max((item for item in items if item.format is format),
                          key=lambda item: item.format.version_key(item.version)))
    if not any(compare_deb(built_by(root / item.path) or _FIRST, older_than) < 0 for item in newest):
        return None
    highest = max((item.version for item in newest), key=DEB.version_key)
    if compare_deb(f"{container.version}-{container.release}", highest) > 0:
        return container.release
    if compare_deb(f"{container.version}-{10**9}", highest) < 0:
        raise ValueError(f"{root} has the newer version {highest}, so a rebuilt {container.version} would not be an upgrade; "
                         "give the declaration that {highest} was built from")
    release = int(highest.rpartition("-")[2]) + 1
    # What was published once, and removed since, is never published again with other content.
    while any(path.endswith(f"/{format.file_name(container.package_name, f'{container.version}-{release}', format.architecture)}")
              for path in state.removed for format in FORMATS.values()):
        release += 1
    return release


def _changed(path: str, due: Sequence[_Due], declared: Sequence[Declared]) -> str:
    """Return the text of a declaration with raised releases; raises DeclarationError where it can't be changed line by line."""
    text = _text(path)
    wanted = tomllib.loads(text.removeprefix("\ufeff"))
    tables: dict[str, Any] = {**wanted.get("container", {}), **wanted.get("adopt", {})}
    for one in due:
        name, line = one.declared.container.name, one.declared.line("release")
        if one.release == one.declared.container.release:
            continue
        shares = [other.container.name for other in declared if other.path == path
                  and "release" not in tables[other.container.name]]
        if "release" in tables[name]:
            changed, table = _set(text, (one.declared.container.table, name), one.release), tables[name]
        elif "release" in wanted.get("package", {}) and {(other, one.release) for other in shares} == {
                (other.declared.container.name, other.release) for other in due if other.declared.container.name in shares}:
            changed, table = _set(text, ("package",), one.release), wanted["package"]
            if table["release"] == one.release:
                continue
        else:
            changed, table = _added(text, (one.declared.container.table, name), one.release), tables[name]
        table["release"] = one.release
        if _parsed(changed) != wanted:
            raise DeclarationError([Fault(path, line, f"{one.declared.container.place}.release",
                                          f"can't be raised automatically in this form; set release = {one.release} by hand, "
                                          "and build it")])
        text = changed
    return text


def _set(text: str, table: tuple[str, ...], release: int) -> str:
    lines = text.split("\n")
    number = KeyLines(text.removeprefix("\ufeff")).of(*table, "release") - 1
    lines[number] = _KEY.sub(lambda found: f"{found[1]}{release}", lines[number], count=1)
    return "\n".join(lines)


def _added(text: str, table: tuple[str, ...], release: int) -> str:
    lines = text.split("\n")
    number = KeyLines(text.removeprefix("\ufeff")).of(*table)
    end = "\r" if lines[number - 1].endswith("\r") else ""
    return "\n".join([*lines[:number], f"release = {release}{end}", *lines[number:]])


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError:
        return None


def _text(path: str) -> str:
    return Path(path).read_bytes().decode("utf-8")


def _replace(path: str, text: str) -> None:
    """Replace a declaration, or the file that its link leads to, as a whole; raises DeclarationError."""
    target = Path(path).resolve()
    if text.encode() == target.read_bytes():
        return
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}-", delete=False) as stream:
            try:
                stream.write(text.encode())
                os.fchmod(stream.fileno(), target.stat().st_mode & 0o7777)
                stream.flush()
                os.fsync(stream.fileno())
                os.replace(stream.name, target)
            except BaseException:
                os.unlink(stream.name)
                raise
    except OSError as error:
        raise DeclarationError([Fault(path, 0, "", f"the raised release can't be written: {error.strerror}; give yourself "
                                      "permission to write to its directory, and try again")]) from None
