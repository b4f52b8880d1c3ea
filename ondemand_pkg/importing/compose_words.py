"""What a service says of others in its environment, its command, its health check and the files that it mounts.

Knows by which forms a name is the host of another service, and which port goes with it; hides the patterns.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence

_HOST_VARIABLE = re.compile(r"host|server|addr|endpoint|broker", re.IGNORECASE)
_OF_SCHEME = {"http://": "80", "https://": "443"}
_WORD = re.compile(r"[A-Za-z0-9_.-]+")
_HOST = re.compile(r"(https?://|(?:^|//|@|[^A-Za-z0-9_.@-])(?!https?://))([A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?(?![A-Za-z0-9_.-])")

Table = dict[str, list[tuple[str, str]]]  # what may be a host, by its name: what is before it, and its port


class Spoken:
    """The texts of one service: its variables, its commands, the files that it mounts, and the words of its health check."""

    def __init__(self, env: Mapping[str, str], commands: Sequence[str], mounted: Sequence[str], test: Sequence[str]) -> None:
        self._env = env
        self._commands = commands
        self._mounted = mounted
        self._test = test

    @functools.cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(word for text in [*self._env.values(), *self._commands] for part in _WORD.findall(text)
                         for word in (part, part.rstrip(".-"), part.lstrip(".-")))

    def has(self, word: str) -> bool:
        """Tell whether a word that may be a name is in these texts; in the files that are mounted, as a host."""
        return word in self._words or any(word in _table(text) for text in self._mounted)

    @functools.cached_property
    def _own(self) -> Table:
        found: Table = {}
        for variable, text in [*self._env.items(), *(("", text) for text in self._commands)]:
            _collect(found, text, bool(_HOST_VARIABLE.search(variable)))
        return found

    def mentioned(self, names: Sequence[str]) -> tuple[bool, list[int]]:
        """Tell whether the texts speak of another service as a host, and of which ports.

        `//NAME`, `@NAME` and `NAME:PORT` are such words anywhere, the bare name where the variable is called after a host.  A
        port may also be that of a variable beside it, or of `http://NAME`.
        """
        found = [one for name in names for table in (self._own, *map(_table, self._mounted)) for one in table.get(name, ())]
        numbers = ([port for _, port in found if port] or list(self._beside(names))
                   or [_OF_SCHEME[before] for before, _ in found if before in _OF_SCHEME])
        return bool(found), list(dict.fromkeys(int(number) for number in numbers if 0 < int(number) < 65536))

    def _beside(self, names: Sequence[str]) -> Iterator[str]:
        """Yield the ports of variables such as DB_PORT beside DB_HOST with one of the names."""
        for variable, text in self._env.items():
            other = _HOST_VARIABLE.sub(lambda match: "PORT" if match[0].isupper() else "port", variable)
            if text in names and other != variable and re.fullmatch(r"[0-9]{1,5}", self._env.get(other, "")):
                yield self._env[other]

    def speaks_of_itself(self, name: str) -> bool:
        """Tell whether texts or health check use a name of the service's own as a host."""
        asked: Table = {}
        for text in self._test:
            _collect(asked, text, False)
        return self.mentioned([name])[0] or name in asked


def _collect(found: Table, text: str, may_be_bare: bool) -> None:
    for match in _HOST.finditer(text):
        if match[1].endswith(("//", "@")) or match[3] or may_be_bare:
            found.setdefault(match[2], []).append((match[1], match[3] or ""))


# Many services mount one file.
@functools.lru_cache(maxsize=256)
def _table(text: str) -> Table:
    found: Table = {}
    _collect(found, text, False)
    return found
