"""What the journal says of a time that is past: when services were awake, who woke them, what their sleep gave back.

Knows how wakes and ends of the time awake make a history, and what is shown of it as text; hides what is missing from the
journal: a host that lost its power wrote no end.
"""

import time
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from ondemand_host import services, systemd
from ondemand_host.errors import HostError
from ondemand_host.services import Statistics, statistics
from ondemand_host.systemd import Record, Sleep
from ondemand_host.table import milliseconds, moment, size, span
from ondemand_host.visible import visible

DEFAULT_SINCE = "-7d"
_RUNNING = ("awake", "stopping")
_HEAD = ("NAME", "WAKES", "FAILED", "AWAKE", "SHARE", "P50", "P99", "MOST WOKEN BY", "GIVEN BACK")
_RIGHT = {"WAKES", "FAILED", "AWAKE", "SHARE", "P50", "P99", "GIVEN BACK"}


class Awake(NamedTuple):
    """A time for which a service was awake; seconds since the epoch.

    ``end`` None: nobody wrote it down.
    """

    begin: "float"
    end: "Optional[float]"


class History(NamedTuple):
    """What is known of one service: its times awake and its wakes in their order.

    ``given_back``: bytes of memory, and the times (seconds since the epoch) from when until when sleep gave them back.
    """

    name: "str"
    awake: "Tuple[Awake, ...]"
    wakes: "Tuple[Record, ...]"
    failures: "Tuple[Record, ...]"
    given_back: "Tuple[Tuple[float, float, int], ...]"

    def seconds_awake(self, begin: "float", end: "float") -> "float":
        """Return for how long it was awake between two times, as far as that was written down."""
        return sum(max(0.0, min(end, one.end) - max(begin, one.begin)) for one in self.awake if one.end is not None)

    def wake_time(self) -> "Optional[Statistics]":
        return statistics([one.total for one in self.wakes if one.total is not None])

    def wakers(self) -> "List[Tuple[str, int]]":
        """Return who woke it and how often, the most frequent first."""
        counts: "Dict[str, int]" = {}
        for one in self.wakes:
            client = one.client or "no client"
            counts[client] = counts.get(client, 0) + 1
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))

    def mean_given_back(self, begin: "float", end: "float") -> "float":
        """Return how many bytes of memory sleep gave back, as a mean over the whole time."""
        return sum(count * (until - since) for since, until, count in self.given_back) / max(1.0, end - begin)


class Report(NamedTuple):
    """The histories of all services between two times, in seconds since the epoch."""

    begin: "float"
    end: "float"
    histories: "Tuple[History, ...]"


def report(since: "Optional[str]", now: "Optional[float]" = None) -> "Report":
    """Return what the journal has since a time as journalctl(1) reads it.  Raises HostError."""
    systemd.require_systemd()
    if not systemd.journal_is_readable():
        raise HostError("no permission to read the journal; run as root or as a member of the group systemd-journal")
    end = time.time() if now is None else now
    begin = _time_of(since or DEFAULT_SINCE)
    if begin >= end:
        raise HostError("--since: {} is not in the past; write a time such as -30d, yesterday or 2026-03-01".format(repr(since)))
    wakes, sleeps = systemd.history([], since or DEFAULT_SINCE)
    states = {service.name: service.state for service in services.survey([]).services}
    names = set(states) | {one.name for one in wakes} | {one.name for one in sleeps}
    return Report(begin, end, tuple(history(
        name, [one for one in reversed(wakes) if one.name == name], [one for one in reversed(sleeps) if one.name == name], end,
        states.get(name) in _RUNNING) for name in sorted(names)))


def _time_of(since: "str") -> "float":
    """Return a time in seconds since the epoch.  Raises HostError."""
    try:
        text = systemd.output(["systemd-analyze", "timestamp", "--", since])
        return float(next(line for line in text.splitlines() if "UNIX seconds:" in line).partition("@")[2])
    except (HostError, StopIteration, ValueError):
        raise HostError("--since: {} is not a time; write one such as -30d, yesterday or 2026-03-01".format(
            repr(since))) from None


def history(name: "str", records: "Sequence[Record]", sleeps: "Sequence[Sleep]", now: "float", runs: "bool") -> "History":
    """Return the history that records make, which are in the order of their times; ``runs``: it is awake now."""
    wakes, failures = [one for one in records if not one.failed], [one for one in records if one.failed]
    steps: "List[Tuple[float, Optional[Sleep]]]" = sorted(
        [(one.time - (one.total or 0) / 1000, None) for one in wakes] + [(one.time, one) for one in sleeps],
        key=lambda step: (step[0], step[1] is None))
    awake: "List[Awake]" = []
    given_back: "List[Tuple[float, float, int]]" = []
    since: "Optional[float]" = None  # it is awake
    slept: "Optional[Sleep]" = None
    for when, sleep in steps:
        if slept is not None and slept.given_back is not None:
            given_back.append((slept.time, when, slept.given_back))
        if sleep is None:
            if since is not None:
                awake.append(Awake(since, None))  # nobody wrote its end
            since, slept = when, None
        else:
            # Where the journal no longer has its wake, it says for how long it was awake.
            awake.append(Awake(since if since is not None else when - sleep.awake, when))
            since, slept = None, sleep
    if since is not None:
        awake.append(Awake(since, now if runs else None))
    if slept is not None and slept.given_back is not None:
        given_back.append((slept.time, now, slept.given_back))
    return History(name, tuple(awake), tuple(wakes), tuple(failures), tuple(given_back))


def lines(found: "Report", paint: "Paint") -> "Iterator[str]":
    """Yield the table, and what all services have given back together."""
    rows = [_HEAD] + [_row(one, found) for one in found.histories]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for index, row in enumerate(rows):
        cells = [cell.rjust(width) if head in _RIGHT else cell.ljust(width) for head, cell, width in zip(_HEAD, row, widths)]
        yield "  ".join(paint(cell, bold=index == 0) for cell in cells).rstrip()
    yield summary(found)


def summary(found: "Report") -> "str":
    total = sum(one.mean_given_back(found.begin, found.end) for one in found.histories)
    return "From {} to {}: sleep gave back {} of memory on average, as the processes held (PSS) when they were stopped.".format(
        moment(found.begin), moment(found.end), size(total))


def _row(one: "History", found: "Report") -> "Tuple[str, ...]":
    times, awake = one.wake_time(), one.seconds_awake(found.begin, found.end)
    wakers = one.wakers()
    return tuple(map(visible, (
        one.name, str(len(one.wakes)), str(len(one.failures)), span(awake),
        "{:.1f}%".format(100 * awake / (found.end - found.begin)),
        milliseconds(times.p50) if times else "-", milliseconds(times.p99) if times else "-",
        "{} ({})".format(*wakers[0]) if wakers else "-",
        size(one.mean_given_back(found.begin, found.end)) if one.given_back else "-")))


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from ondemand_host.table import Paint
