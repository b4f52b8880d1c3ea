"""What one native package holds, before any archive format.

Knows the contents and metadata of a single package as plain values; hides
nothing of the archive formats, which are the writers' business.
"""

from __future__ import annotations

import enum
import errno
import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import field
from datetime import date
from pathlib import Path
from typing import BinaryIO

from ondemand_pkg.frozen import frozen

UNRECORDED = "0.1.0 or older"  # how a package without ``built_by`` is shown
RELEASE = re.compile(r"[0-9]{1,9}")  # of a package that this project can have built
BLOCK = 2**20  # bytes of a large content that are in memory at once


class Kind(enum.Enum):
    """What an entry is in the file system."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


class Role(enum.Enum):
    """How the package manager treats an entry.

    CONFIG is a conffile in a .deb (Policy 10.7) and `%config(noreplace)` in an
    .rpm; DOC and LICENSE are `%doc` and `%license` there and plain files in a .deb.
    """

    PLAIN = "plain"
    CONFIG = "config"
    DOC = "doc"
    LICENSE = "license"


@frozen
class Stored:
    """The content of a file that may be too large for memory: where it lies, its size in bytes, its digests in hexadecimal.

    ``path`` is None for a content that was read from a package and not kept.
    """

    path: Path | None
    size: int
    md5: str
    sha256: str


@frozen
class Entry:
    """One path of a package.

    ``path`` is absolute, normalised and without a trailing slash.  ``mode`` holds
    the permission bits alone (0 to 0o7777).  ``data`` is the content of a file, unless
    that is ``stored`` elsewhere; ``target`` is the content of a symlink.
    """

    path: str
    kind: Kind
    mode: int
    data: bytes = b""
    target: str = ""
    owner: str = "root"
    group: str = "root"
    role: Role = Role.PLAIN
    stored: Stored | None = None

    @property
    def size(self) -> int:
        """The bytes of a file's content."""
        return self.stored.size if self.stored else len(self.data)

    def open(self) -> BinaryIO:
        """Return a file's content as a stream; raises OSError where it is stored and can't be read."""
        if not self.stored:
            return io.BytesIO(self.data)
        if self.stored.path is None:
            raise FileNotFoundError(errno.ENOENT, "its content was not kept", self.path)
        return self.stored.path.open("rb")

    def md5(self) -> str:
        """Return the MD5 of a file's content, in hexadecimal digits."""
        return self.stored.md5 if self.stored else hashlib.md5(self.data, usedforsecurity=False).hexdigest()

    def sha256(self) -> str:
        """Return the SHA-256 of a file's content, in hexadecimal digits."""
        return self.stored.sha256 if self.stored else hashlib.sha256(self.data).hexdigest()


@frozen
class ChangelogEntry:
    """One release: ``version`` is VERSION-RELEASE, ``changes`` are one line each."""

    date: date
    version: str
    changes: tuple[str, ...]


@frozen
class Package:
    """A package for one format, complete: a writer adds only what the format itself asks for.

    ``scripts`` maps the format's own names (``postinst``, ``prerm`` ... or ``post``,
    ``preun``, ``posttrans`` ...) to the text of a /bin/sh script.  ``relations`` maps the
    format's own relation names in lower case (``depends``, ``recommends``, ``conflicts`` ... or
    ``requires``, ``provides``, ``conflicts`` ...) to what stands in them, in the
    format's own syntax, one relation a string.  ``changelog`` is newest first and never empty.
    ``watched`` is where files of other packages are looked out for: a directory whose changes call the ``postinst`` of a .deb
    with "triggered" (deb-triggers(5)), or the prefix of paths whose removal calls the ``transfiletriggerpostun`` of an .rpm;
    empty where nothing is.
    ``timestamp`` is the one time of everything in the package, in seconds since the epoch.
    ``built_by`` is the release of ondemand-pkg whose helpers are in the package; empty where there are none, or of a release
    (0.1.0) that did not record itself.
    """

    name: str
    version: str
    release: int
    summary: str
    description: tuple[str, ...]
    maintainer: str
    license: str
    entries: tuple[Entry, ...]
    changelog: tuple[ChangelogEntry, ...]
    timestamp: int
    homepage: str = ""
    section: str = "admin"
    scripts: Mapping[str, str] = field(default_factory=dict)
    relations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    built_by: str = ""
    watched: str = ""

    @property
    def full_version(self) -> str:
        """VERSION-RELEASE."""
        return f"{self.version}-{self.release}"
