"""What wakes a service, and what does not.

Knows how that is written in declarations; hides nothing.
"""

from __future__ import annotations

from ondemand_pkg.frozen import frozen

CONNECTION, DATA = "connection", "data"  # what of a client wakes a container
DEFAULT_DATA_TIMEOUT = 10.0
BODILESS = (204, 205, 304)  # statuses whose answers have no content (RFC 9110)


@frozen
class Datagrams:
    """So many datagrams of one client wake a container, within so many seconds."""

    datagrams: int
    within: float


@frozen
class Health:
    """Requests for a path that are answered while the container sleeps, and their answer."""

    path: str
    status: int = 200
    body: str = ""
