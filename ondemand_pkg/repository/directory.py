"""The directory of a repository and how all of it changes at once.

Knows the lock, the generation directories and the one symbolic link that readers go through; hides what is left of a
process that was killed, by taking it away before the next change.

    DIR/dists, rpm, index.html ... -> .repository/current/...   links that are made once
    DIR/pool/n/NAME/FILE                                        package files, never changed
    DIR/.repository/current -> generations/NUMBER               the switch
    DIR/.repository/generations/NUMBER/                         indexes, page, keys, state.json
    DIR/.repository/pending                                     pool files that the change at work brings
    DIR/.repository/lock, cache.sqlite
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pwd
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.repository import state
from ondemand_pkg.repository.state import State

KEYRING = "ondemand-archive-keyring"  # the package by which hosts join, and what its files at the root are called
ARMORED_KEYS, BINARY_KEYS = f"{KEYRING}.asc", f"{KEYRING}.gpg"
LINKS = ("dists", "rpm", "index.html", ARMORED_KEYS, BINARY_KEYS)
OPTIONAL_LINKS = tuple(f"{KEYRING}.{name}" for name in FORMATS)
_KEPT = 3  # generation directories: a reader may be on its way through the one that was just replaced
_STATE = "state.json"


class Directory:
    """A repository's directory; change it under ``locked``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.inner = root / ".repository"
        self.current = self.inner / "current"
        self._generations = self.inner / "generations"
        self._pending = self.inner / "pending"

    @contextlib.contextmanager
    def locked(self, say: Callable[[str], None]) -> Iterator[None]:
        """Keep every other process from changing the repository; ``say`` tells before another one is waited for.

        What a killed process left is taken away first.  Raises OndemandError where the directory can't be written to,
        and in place of any OSError within.
        """
        with self.faults(), _readable():
            self.inner.mkdir(parents=True, exist_ok=True)
            with (self.inner / "lock").open("w") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    say("waiting for another process that is changing the repository")
                    fcntl.flock(stream, fcntl.LOCK_EX)
                self._sweep()
                yield

    @contextlib.contextmanager
    def faults(self) -> Iterator[None]:
        """Report an OSError within as an error of the host."""
        try:
            yield
        except OSError as error:
            permission = f"{_of_other_user(self.root)}give yourself permission to write to it"
            space = "free some space"
            remedy = {errno.ENOSPC: space, errno.EDQUOT: space, errno.EACCES: permission, errno.EPERM: permission,
                      errno.EROFS: "make it writable"}.get(error.errno or 0, "")
            place = error.filename or self.root
            raise OndemandError(f"{self.root}: nothing was changed: {place}: {error.strerror}"
                                + (f"; {remedy}" if remedy else "")) from error

    def exists(self) -> bool:
        """Return whether there is a repository; raises OndemandError where that can't be determined."""
        try:
            return self.current.is_symlink()
        except OSError as error:
            raise OndemandError(f"{self.current}: {error.strerror}; give yourself permission to read it") from None

    def load(self) -> State:
        """Return what the repository holds; an empty state where it does not exist yet.  Raises OndemandError."""
        return state.read(self.current / _STATE) if self.exists() else State()

    def existing(self) -> State:
        """Return what the repository holds; raises OndemandError where there is none."""
        if not self.exists():
            raise OndemandError(f"{self.root}: there is no repository; 'ondemand-pkg publish --repo {self.root}' creates one")
        return self.load()

    def _sweep(self) -> None:
        current = os.readlink(self.current).rpartition("/")[2] if self.current.is_symlink() else ""
        if self._pending.exists():
            shown = self.load()
            for path in self._pending.read_text(encoding="utf-8").splitlines():
                # One that was removed may be named by an older index, and was there before.
                if path not in shown.items and path not in shown.removed:
                    (self.root / path).unlink(missing_ok=True)
            self._pending.unlink()
        if not self._generations.is_dir():
            return
        numbers = sorted((entry for entry in os.listdir(self._generations) if entry.isdigit()), key=int)
        kept = {number for number in numbers if current and int(number) <= int(current)}
        kept = set(sorted(kept, key=int)[-_KEPT:])
        for name in set(os.listdir(self._generations)) - kept:
            shutil.rmtree(self._generations / name)
        for leftover in self.inner.glob("incoming-*"):
            shutil.rmtree(leftover)

    @contextlib.contextmanager
    def incoming(self) -> Iterator[Path]:
        """Yield a directory for package files, on the pool's file system, that is gone afterwards."""
        directory = Path(tempfile.mkdtemp(prefix="incoming-", dir=self.inner))
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    @contextlib.contextmanager
    def change(self, after: State, files: Iterable[tuple[Path, str]]) -> Iterator[Path]:
        """Yield the directory of a new generation to be filled; then show it, with ``files`` moved to their pool paths.

        Until the link is renamed, in one step, readers see the generation before; where anything fails, they go on to and
        nothing of the new one stays.
        """
        after.number += 1
        files = list(files)
        generation = self._generations / f"{after.number}"
        generation.mkdir(parents=True)
        try:
            yield generation
            self._pending.write_text("".join(f"{path}\n" for _, path in files), encoding="utf-8")
            for source, path in files:
                (self.root / path).parent.mkdir(parents=True, exist_ok=True)
                os.replace(source, self.root / path)
            (generation / _STATE).write_text(after.text(), encoding="utf-8")
            os.sync()  # one call for thousands of files; the link must never be there before what it shows
            self._link(generation)
            self._switch(after.number)
        except BaseException:
            with contextlib.suppress(OSError):  # what is left then, the next change takes away
                self._sweep()
            raise
        self._pending.unlink()

    def _link(self, generation: Path) -> None:
        for name in (*LINKS, *OPTIONAL_LINKS):
            link = self.root / name
            if not link.is_symlink() and (name in LINKS or (generation / name).exists()):
                link.symlink_to(f".repository/current/{name}")

    def _switch(self, number: int) -> None:
        link = self.inner / "current.new"
        link.unlink(missing_ok=True)
        link.symlink_to(f"generations/{number}")
        os.replace(link, self.current)


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """Let everybody read what is made: a web server is another user, whatever the publisher's umask keeps from others."""
    old = os.umask(0o022)
    os.umask(old & 0o022)  # a group that publishes together may write
    try:
        yield
    finally:
        os.umask(old)


def _of_other_user(path: Path) -> str:
    """Return what to do first where a directory, or the one in which it would be made, belongs to another user."""
    there = next((one for one in (path, *path.absolute().parents) if os.path.exists(one)), Path("/"))
    owner = there.stat().st_uid
    if owner == os.geteuid():
        return ""
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = str(owner)
    return f"run the command as the user {name}, who owns {there}, or "


def link(source: Path, target: Path) -> None:
    """Give a file, which nobody changes, a second name; copy it where the file system has no such thing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS):
            raise
        shutil.copy2(source, target, follow_symlinks=False)


def now() -> int:
    """Return the time, in whole seconds since the epoch."""
    return int(time.time())
