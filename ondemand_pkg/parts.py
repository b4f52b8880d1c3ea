"""The parts of a declared container that have fields of their own.

Knows what each of them means; hides how it was written.
"""

from __future__ import annotations

import enum
from datetime import date

from ondemand_pkg.frozen import frozen

DEFAULT_READY_TIMEOUT = 60.0


class ReadyKind(enum.Enum):
    """How a container is known to be ready."""

    TCP = "tcp"
    HTTP = "http"
    HEALTHCHECK = "healthcheck"
    EXEC = "exec"
    LOG = "log"
    STARTED = "started"
    UDP = "udp"


@frozen
class Ready:
    """A readiness check; ``timeout`` in seconds."""

    kind: ReadyKind = ReadyKind.TCP
    timeout: float = DEFAULT_READY_TIMEOUT
    path: str = ""
    status: int = 200
    argv: tuple[str, ...] = ()
    text: str = ""
    ports: tuple[int, ...] = ()  # of tcp: those that must listen, all where there are none
    is_any: bool = False  # of tcp: whether one port that listens is enough
    send: bytes = b""  # of udp: the question
    expect: bytes = b""  # of udp: how its answer begins


@frozen
class Volume:
    """A named volume or a directory of the host, and where the container sees it."""

    source: str
    target: str
    options: tuple[str, ...] = ()

    @property
    def is_named(self) -> bool:
        """Whether the engine keeps it under a name, not the host in a directory."""
        return not self.source.startswith("/")

    def __str__(self) -> str:
        return ":".join([self.source, self.target, *([",".join(self.options)] if self.options else [])])


@frozen
class Link:
    """A container that another one reaches; ``name`` is what it is called inside, empty for its own name and its aliases."""

    target: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.target}:{self.name}" if self.name else self.target


@frozen
class Depends:
    """Relations that stand in the packages beside those that the builder works out, in each format's own syntax."""

    deb: tuple[str, ...] = ()
    rpm: tuple[str, ...] = ()


@frozen
class Release:
    """One entry of the package's changelog."""

    date: date
    version: str
    changes: tuple[str, ...]
