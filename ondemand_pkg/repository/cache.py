"""What was worked out of package files and pieces of indexes once.

Knows that all of it follows from the files of the pool; hides SQLite, and that a cache which is lost, damaged or of
another release is made anew.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ondemand_pkg.repository.pieces import Piece
from ondemand_pkg.repository.state import Item

Entry = tuple[bytes, ...]
_SCHEMA = """
CREATE TABLE IF NOT EXISTS made_by (release TEXT);
CREATE TABLE IF NOT EXISTS entry (kind TEXT, path TEXT, sha256 TEXT, a BLOB, b BLOB, c BLOB,
                                  PRIMARY KEY (kind, path)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS piece (tree TEXT, digest BLOB, deflated BLOB, block BLOB, unpadded INTEGER,
                                  PRIMARY KEY (tree, digest)) WITHOUT ROWID;
"""


class Cache:
    """The cache; made by ``opened``, under the repository's lock.  Where it fails it knows nothing and keeps nothing."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.has_failed = False

    def entries(self, kind: str, items: Iterable[Item], make: Callable[[Item], Entry]) -> dict[str, Entry]:
        """Return by pool path what ``make`` makes, up to three byte strings, of each item, out of the cache where it is there."""
        known = {path: (sha256, entry) for path, sha256, *entry in self._read(
            "SELECT path, sha256, a, b, c FROM entry WHERE kind = ?", kind)}
        found, new = {}, []
        for item in items:
            sha256, entry = known.get(item.path, ("", ()))
            if sha256 == item.sha256:
                found[item.path] = tuple(entry)
            else:
                made = (*make(item), b"", b"")[:3]
                found[item.path] = made
                new.append((kind, item.path, item.sha256, *made))
        self._write("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?)", new)
        return found

    def pieces(self, tree: str) -> dict[bytes, Piece]:
        """Return the pieces that a tree of indexes was last made of."""
        return {digest: Piece(deflated, block, unpadded) for digest, deflated, block, unpadded in self._read(
            "SELECT digest, deflated, block, unpadded FROM piece WHERE tree = ?", tree)}

    def keep_pieces(self, tree: str, before: Mapping[bytes, Piece], after: Mapping[bytes, Piece]) -> None:
        """Take the pieces that a tree is made of now in place of those before."""
        self._write("DELETE FROM piece WHERE tree = ? AND digest = ?",
                    [(tree, digest) for digest in before if digest not in after])
        self._write("INSERT OR REPLACE INTO piece VALUES (?, ?, ?, ?, ?)", [
            (tree, digest, piece.deflated, piece.block, piece.unpadded)
            for digest, piece in after.items() if digest not in before])

    def forget(self, paths: Iterable[str]) -> None:
        """Drop what is known of pool files that are gone."""
        self._write("DELETE FROM entry WHERE path = ?", [(path,) for path in paths])

    def _read(self, query: str, value: str) -> list[tuple[Any, ...]]:
        if not self.has_failed:
            with self._failures():
                return self._database.execute(query, (value,)).fetchall()
        return []

    def _write(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        if not self.has_failed:
            with self._failures():
                self._database.executemany(statement, rows)

    def commit(self) -> None:
        """Keep what was written."""
        with self._failures():
            self._database.commit()

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error:  # damaged, or the disk is full: without it the change takes longer
            self.has_failed = True


@contextlib.contextmanager
def opened(path: Path, release: str) -> Iterator[Cache]:
    """Yield the cache that a file holds for a release of this program, empty if it can't be read."""
    with contextlib.closing(_database(path, release)) as database:
        cache = Cache(database)
        yield cache
        cache.commit()
    if cache.has_failed:
        _unlink(path)


def _unlink(path: Path) -> None:
    for name in (path, path.with_name(path.name + "-journal")):
        name.unlink(missing_ok=True)


def _database(path: Path, release: str) -> sqlite3.Connection:
    for attempt in (1, 2):
        try:
            database = sqlite3.connect(path)
            # Nothing of it is needed after a crash of the machine but that it can be told to be damaged.
            database.execute("PRAGMA synchronous = OFF")
            database.executescript(_SCHEMA)
            if database.execute("SELECT release FROM made_by").fetchall() != [(release,)]:
                for table in ("entry", "piece", "made_by"):
                    database.execute(f"DELETE FROM {table}")
                database.execute("INSERT INTO made_by VALUES (?)", (release,))
            database.execute("SELECT count(*) FROM piece").fetchall()
            return database
        except sqlite3.DatabaseError:
            if attempt == 2:
                break
            _unlink(path)
    database = sqlite3.connect(":memory:")
    database.executescript(_SCHEMA)
    return database
