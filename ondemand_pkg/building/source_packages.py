"""Source packages, for sites whose build service runs the native tools.

Knows how a debian/ directory and a spec file say what a package holds; hides their templates.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

from ondemand_pkg import layout
from ondemand_pkg.building import packing
from ondemand_pkg.building.images import Images
from ondemand_pkg.contents.documents import debian_changelog
from ondemand_pkg.contents.rendering import render
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import DEB, RPM, xz
from ondemand_pkg.formats.rpm import TRIGGER
from ondemand_pkg.formats.text import fold
from ondemand_pkg.model import Container, Stack
from ondemand_pkg.package import BLOCK, Entry, Kind, Package, Role

_SPEC_MARKS = {Role.PLAIN.value: "", Role.CONFIG.value: "%config(noreplace) ", Role.DOC.value: "%doc ",
               Role.LICENSE.value: "%license "}


def write_source(declared: Iterable[Container | Stack], directory: Path, environ: Mapping[str, str]) -> list[Path]:
    """Write the source tree and the original tarball of each package into a directory; return their paths.

    The tree is NAME-VERSION with root/ (what is packed), debian/ and NAME.spec; the tarball, which both kinds of
    source package share, is the tree without debian/ (dpkg-source(1), "3.0 (quilt)").  All appear or none does.
    Raises OndemandError.
    """
    finished: list[Path] = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".ondemand-pkg-", dir=directory) as temporary:
            images = Images(Path(temporary))
            for one in declared:
                deb, rpm = (task.job(images).package() for task in packing.tasks([one], (DEB, RPM), environ))
                time = deb.timestamp
                stem, tarball = f"{deb.name}-{deb.version}", f"{deb.name}_{deb.version}.orig.tar.xz"
                upstream = _upstream(rpm, tarball)
                _write_tarball(Path(temporary) / tarball, stem, upstream, time)
                has_presets = any(layout.PRESETS in entry.path for entry in rpm.entries)
                _write_tree(Path(temporary) / stem, [*upstream, *_debian(deb, has_presets)], time)
                finished += [directory / stem, directory / tarball]
            for path in finished:
                if path.is_dir():
                    shutil.rmtree(path)
                os.replace(Path(temporary) / path.name, path)
    except OSError as error:
        raise OndemandError(f"{directory}: the source trees can't be written: {error.strerror}; "
                            "give a writable directory with --output") from error
    return finished


def _upstream(rpm: Package, tarball: str) -> list[Entry]:
    """Return what is in the tarball: root/ and the spec file; the .rpm's files hold all that a .deb has."""
    spec = render("source/package.spec.j2", p=rpm, tarball=tarball, marks=_SPEC_MARKS, trigger=TRIGGER,
                  dates=[_spec_date(entry.date) for entry in rpm.changelog])
    return [*(dataclasses.replace(entry, path=f"root{entry.path}") for entry in rpm.entries),
            Entry(f"{rpm.name}.spec", Kind.FILE, 0o644, spec.encode())]


def _debian(deb: Package, has_presets: bool) -> list[Entry]:
    """Return what is in debian/; ``has_presets``: the tarball has such files, which a .deb has not."""
    texts = {
        "control": render("source/control.j2", p=deb, paragraphs=[fold(text) for text in deb.description]),
        "changelog": debian_changelog(deb),
        "copyright": _text(deb, f"{layout.documents(deb.name)}/copyright"),
        f"{deb.name}.lintian-overrides": _text(deb, layout.overrides(deb.name)),
        "source/format": "3.0 (quilt)\n",
        **({f"{deb.name}.triggers": f"interest-noawait {deb.watched}\n"} if deb.watched else {}),
        **{f"{deb.name}.{name}": text for name, text in deb.scripts.items()},
    }
    kept = [entry for entry in deb.entries
            if entry.kind is Kind.FILE and (entry.mode == 0o600 or "/libexec/" in entry.path)]
    rules = render("source/rules.j2", p=deb, has_presets=has_presets, kept_modes=kept).encode()
    return [Entry("debian/rules", Kind.FILE, 0o755, rules),
            *(Entry(f"debian/{name}", Kind.FILE, 0o644, text.encode()) for name, text in texts.items())]


def _text(package: Package, path: str) -> str:
    return next(entry.data for entry in package.entries if entry.path == path).decode()


def _write_tree(top: Path, entries: list[Entry], time: int) -> None:
    for entry in entries:
        path = top / entry.path
        if entry.kind is Kind.DIRECTORY:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with entry.open() as content, path.open("wb") as stream:
            shutil.copyfileobj(content, stream, BLOCK)
        path.chmod(entry.mode)
        os.utime(path, (time, time))
    for directory in (top, *(path for path in top.rglob("*") if path.is_dir())):
        directory.chmod(0o755)


def _write_tarball(path: Path, stem: str, entries: list[Entry], time: int) -> None:
    with (path.open("wb") as stream, xz.Writer(stream) as compressed,
          tarfile.open(fileobj=compressed, mode="w", format=tarfile.GNU_FORMAT) as archive):
        for entry in entries:
            member = tarfile.TarInfo(f"{stem}/{entry.path}")
            member.mode, member.mtime, member.size = entry.mode, time, entry.size
            member.type = tarfile.DIRTYPE if entry.kind is Kind.DIRECTORY else tarfile.REGTYPE
            member.uname = member.gname = "root"
            with entry.open() as content:
                archive.addfile(member, content)


def _spec_date(day: date) -> str:
    """Return a day as a spec file's changelog has it, whatever the locale."""
    week, month, *_ = day.ctime().split()
    return f"{week} {month} {day.day:02} {day.year:04}"
