"""What is wrong with the services of this host, and what to do about it.

Knows how findings are gathered and shown; hides the checks.
"""

import os
import textwrap
from typing import List, NamedTuple, Sequence

from ondemand_host import checks, checks_network, systemd
from ondemand_host.checks import ERROR, Trouble
from ondemand_host.engines import DOCKER
from ondemand_host.places import chosen
from ondemand_host.visible import as_json as visible_json
from ondemand_host.visible import visible

HOST = "host"  # what is said of all services; no service has this name
_COLOURS = {ERROR: "red"}


class Examined(NamedTuple):
    """A service, or the host, and what is wrong with it."""

    name: "str"
    troubles: "Sequence[Trouble]"


def examine(wanted: "Sequence[str]") -> "List[Examined]":
    """Look at some services, or all, and at the host.  Raises HostError where one is not there, or no systemd."""
    systemd.require_systemd()
    packages, _ = chosen(wanted)
    units = systemd.units([DOCKER] + [unit for one in packages for unit in (
        one.socket, one.proxy, one.container, one.timer) + one.kernel_units])
    every = checks.OF_SERVICE + checks_network.OF_SERVICE
    found = [Examined(one.name, [trouble for check in every for trouble in check(one, units)]) for one in packages]
    return [Examined(HOST, list(checks.of_host()))] + found


def lines(examined: "Sequence[Examined]", width: "int", paint: "Paint") -> "Iterator[str]":
    """Yield what people read: a line for what is well, and each trouble with its remedy."""
    for one in examined:
        if not one.troubles:
            yield "{}: nothing wrong".format(visible(one.name))
        for trouble in one.troubles:
            text = visible(" ".join("{}: {}: {}".format(one.name, trouble.severity, trouble.finding).split()))
            first, *rest = textwrap.wrap(text, max(40, width), subsequent_indent="    ", break_on_hyphens=False,
                                         break_long_words=False)
            yield first.replace(trouble.severity, paint(trouble.severity, _COLOURS.get(trouble.severity, "yellow")), 1)
            yield from rest
            if trouble.remedy:
                yield visible("    remedy: " + " ".join(trouble.remedy.split()))


def as_json(examined: "Sequence[Examined]") -> "str":
    """Return everything as one JSON object."""
    return visible_json({one.name: [dict(trouble._asdict()) for trouble in one.troubles] for one in examined})


def not_seen() -> "List[str]":
    """Return what this user could not look at."""
    return [] if os.getuid() == 0 else ["only root can look at the engine and at everything else that a wake needs; run as root"]


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Protocol

    class Paint(Protocol):
        def __call__(self, text: str, colour: str = "", bold: bool = False) -> str: ...
