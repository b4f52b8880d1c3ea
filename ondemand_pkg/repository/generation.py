"""From what a repository holds to the files of a generation.

Knows which trees of indexes changed, and how long files of earlier generations stay for readers who hold an older index;
hides what each tree consists of.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ondemand_pkg import __version__
from ondemand_pkg.formats import DEB, RPM, Format
from ondemand_pkg.repository import apt, cache, dnf, gpg, page
from ondemand_pkg.repository.cache import Cache
from ondemand_pkg.repository.directory import ARMORED_KEYS, BINARY_KEYS, KEYRING, OPTIONAL_LINKS, Directory, link
from ondemand_pkg.repository.inspect import Facts, inspect
from ondemand_pkg.repository.state import Item, State

_OFTEN = 10  # seconds that a clock may be behind because changes came one after the other
HELD_SECONDS = 24 * 3600  # how long a reader may take from the top of an index to what it names
HELD_GENERATIONS = 50  # and how many are held at most, or publishing in a loop would fill the disk


@dataclass
class Additions:
    """What a change brings: where new pool files lie until then, and what is known of them; files for the root.

    ``renews``: apt's indexes get a new date though nothing else of them changes.
    """

    files: dict[str, Path] = field(default_factory=dict)
    facts: dict[str, Facts] = field(default_factory=dict)
    root: dict[str, bytes] = field(default_factory=dict)
    renews: bool = False


def show(directory: Directory, before: State, after: State, change: Additions, clock: int, say: Callable[[str], None]) -> None:
    """Make the generation of a state and show it; raises OndemandError, and then nothing has changed.

    ``clock`` is the time of this machine in seconds since the epoch; ``say`` tells where it can't be right.
    """
    now = after.date = _date(directory, before, clock, say)
    with cache.opened(directory.inner / "cache.sqlite", __version__) as known, \
            directory.change(after, [(source, path) for path, source in change.files.items()]) as generation:
        work = _Work(directory, before, after, change, now, known, generation)
        after.trees = {}
        for suite in sorted(after.suites):
            work.apt(suite)
            work.dnf(suite)
        work.hold()
        work.keys()
        work.page()
        known.forget(path for path in before.items if path not in after.items)
    for path, (_, when) in after.removed.items():
        # Told in the state by the next change; until then the file is gone and its time tells that it may be.
        if when and when + HELD_SECONDS < now:
            (directory.root / path).unlink(missing_ok=True)


def _date(directory: Directory, before: State, clock: int, say: Callable[[str], None]) -> int:
    """Return the date of a change: after that of the one before, or hosts would keep the older index."""
    last = before.date or max((apt.date(directory.current / "dists" / suite / "Release") for suite in before.suites), default=0)
    if clock > last:
        return clock
    if last - clock <= _OFTEN:
        # Changes within one second each take the next one: a date that runs ahead is refused by apt (Acquire::Max-FutureTime).
        time.sleep(last - clock)
    else:
        told, then = (f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC" for moment in (clock, last))
        say(f"the clock of this machine says {told}, but the repository was last changed on {then}: the new indexes are dated "
            "one second after that; set the clock. If the earlier date is wrong, hosts refuse the indexes until then")
    return last + 1


@dataclass
class _Work:
    directory: Directory
    before: State
    after: State
    change: Additions
    now: int
    cache: Cache
    generation: Path

    @property
    def _old(self) -> Path:
        return self.directory.current

    def _file(self, item: Item) -> Path:
        return self.change.files.get(item.path, self.directory.root / item.path)

    def _facts(self, item: Item) -> Facts:
        if item.path in self.change.facts:
            return self.change.facts[item.path]
        path = self.directory.root / item.path
        with path.open("rb") as stream:
            return inspect(path, stream)

    def _same(self, tree: str, suite: str, format: Format) -> bool:
        """Whether a tree is as before; then its files get another name in the new generation."""
        if tree not in self.before.trees or self.before.keys != self.after.keys:
            return False
        if self.before.shown(suite, format) != self.after.shown(suite, format):
            return False
        self._keep(tree)
        return True

    def _keep(self, tree: str) -> None:
        self.after.trees[tree] = self.before.trees[tree]
        for folder, folders, names in os.walk(self._old / tree):
            for name in [*names, *(name for name in folders if Path(folder, name).is_symlink())]:
                below = Path(folder, name).relative_to(self._old)
                if f"{below}" not in self.before.held:
                    link(self._old / below, self.generation / below)

    def apt(self, suite: str) -> None:
        tree = f"dists/{suite}"
        is_dated = not self.change.renews and self.before.valid_for == self.after.valid_for
        if is_dated and self._same(tree, suite, DEB):
            return
        items = self.after.shown(suite, DEB)
        stanzas = self.cache.entries(DEB.name, items, lambda item: (apt.stanza(self._facts(item), item),))
        pieces = self.cache.pieces(tree)
        files, used = apt.write(self.generation / tree, suite, [(item, stanzas[item.path][0]) for item in items], pieces,
                                self.after)
        self.cache.keep_pieces(tree, pieces, used)
        self.after.trees[tree] = files

    def dnf(self, suite: str) -> None:
        tree = f"rpm/{suite}"
        snapshots = [other for other in self.before.trees if other.startswith(f"{tree}@")]
        if self._same(tree, suite, RPM):
            for name in snapshots:
                self._keep(name)
        else:
            snapshots = [f"{tree}@{self.after.number}"]
            self._dnf(tree, suite)
            self.after.trees[snapshots[0]] = dnf.snapshot(self.generation / tree, self.generation / snapshots[0])
        if self.after.url:
            mirrors = self.generation / tree / "mirrorlist"
            mirrors.unlink(missing_ok=True)  # a file of the generation before has this name, too
            mirrors.write_text(dnf.mirrors([f"{self.after.url}{name}/" for name in [*snapshots, tree]]), encoding="utf-8")

    def _dnf(self, tree: str, suite: str) -> None:
        items = self.after.shown(suite, RPM)
        described = self.cache.entries(RPM.name, items, lambda item: dnf.describe(item, self._file(item)))
        pieces = self.cache.pieces(tree)
        packages = [(item, (texts[0], texts[1], texts[2])) for item in items for texts in (described[item.path],)]
        files, used = dnf.write(self.generation / tree, packages, pieces, self.after.keys, self.now)
        self.cache.keep_pieces(tree, pieces, used)
        self.after.trees[tree] = files

    def hold(self) -> None:
        """Keep the files that indexes of earlier generations name."""
        current = {f"{tree}/{name}" for tree, names in self.after.trees.items() for name in names}
        held = {f"{tree}/{name}": self.now for tree, names in self.before.trees.items() for name in names}
        held = {name: when for name, when in {**held, **self.before.held}.items() if name not in current}
        recent = sorted({when for when in held.values() if when + HELD_SECONDS >= self.now})[-HELD_GENERATIONS:]
        self.after.held = {name: when for name, when in held.items() if when in recent}
        for name in self.after.held:
            link(self._old / name, self.generation / name)

    def keys(self) -> None:
        armored = gpg.export(self.after.public)
        (self.generation / ARMORED_KEYS).write_bytes(armored)
        (self.generation / BINARY_KEYS).write_bytes(gpg.dearmored(armored))
        for name in OPTIONAL_LINKS:
            if name in self.change.root:
                (self.generation / name).write_bytes(self.change.root[name])
            elif (self._old / name).exists():
                link(self._old / name, self.generation / name)

    def page(self) -> None:
        items = sorted(self.after.items.values(), key=lambda item: item.path)
        cards = self.cache.entries("page", items, lambda item: page.told(self._facts(item)))
        text = page.render_page(self.after, cards, [gpg.find(key) for key in self.after.keys],
                           (self.generation / f"{KEYRING}.{DEB.name}").exists())
        (self.generation / "index.html").write_text(text, encoding="utf-8", errors="replace")

