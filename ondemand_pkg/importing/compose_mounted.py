"""What the configuration files that a project mounts into its containers say of other services.

Knows which of them are read (small texts inside the project's directory, never a whole data directory); hides the file system.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence

from ondemand_pkg.importing.reach import Reach

_MOST_TEXT = 1 << 19  # characters that are read for a project
_LARGEST = 1 << 16  # bytes of a file
_MOST_ENTRIES = 200  # of a directory that are looked at
_CONFIGURATION = re.compile(r"[^.]+|.*\.(?:conf|cfg|cnf|ini|json|ya?ml|toml|xml|properties|env|te?mpl(?:ate)?|tpl|vcl|hcl)")
_COMMENT = re.compile(r"^\s*(?:#|//|;).*$", re.MULTILINE)


class Mounted:
    """Reads the files of one project, each once."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._left = _MOST_TEXT
        self._texts: dict[str, str] = {}

    def texts(self, sources: Sequence[str]) -> list[str]:
        """Return the texts, less comments, of files and directories that a container mounts from the project's directory."""
        inner = [source for source in sources
                 if self._reach.is_inside(source) and os.path.realpath(source) != str(self._reach.directory)]
        return [text for source in inner for path in self._files(source) if (text := self._text(path))]

    def _files(self, source: str) -> Iterator[str]:
        if not os.path.isdir(source):
            yield source
            return
        seen = 0
        for top, directories, names in os.walk(source):
            seen += len(directories)
            directories.sort()
            for name in sorted(names):
                seen += 1
                if seen > _MOST_ENTRIES:
                    return
                path = os.path.join(top, name)
                if _CONFIGURATION.fullmatch(name.lower()) and self._reach.is_inside(path):
                    yield path

    def _text(self, path: str) -> str:
        if path not in self._texts:
            self._texts[path] = found = _read(path)[:self._left]
            self._left -= len(found)
        return self._texts[path]


def _read(path: str) -> str:
    """Return the text of a small regular file, nothing for any other."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return ""
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return ""
    with os.fdopen(descriptor, "rb") as stream:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
            return ""
        data = stream.read(_LARGEST)
    try:
        return _COMMENT.sub("", data.decode())
    except UnicodeDecodeError:
        return ""
