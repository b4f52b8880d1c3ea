"""The services of a host as people and as programs read them.

Knows the table and the JSON object; hides how times, addresses and colours are written.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from ondemand_pkg.host.services import IDLE, JOURNAL, Service, Survey
from ondemand_pkg.host.systemd import LOOK_BACK_DAYS, PHASES, Record

Paint = Callable[..., str]
_COLOURS = {"awake": "green", "paused": "cyan", "starting": "yellow", "stopping": "yellow", "failing": "red", "closed": "red"}
_HEAD = ("NAME", "STATE", "CONN", "LAST WAKE", "TOOK", "P50", "P99", "LEFT", "PORTS")
_RIGHT = {"CONN", "TOOK", "P50", "P99", "LEFT"}
_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))
_REMEDIES = {
    JOURNAL: "the journal can't be read, so that wakes and failures are not known; ask as root or as a member of the group "
             "systemd-journal",
    IDLE: "only root may ask the services how long they stay awake without traffic",
}


def lines(found: Survey, now: float, width: int, in_detail: bool, paint: Paint) -> Iterator[str]:
    """Yield the lines of the table, and what is to be said of services that fail, or ``in_detail`` of each."""
    rows = [_HEAD, *(_row(service, found, now) for service in found.services)] if found.services else []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for index, row in enumerate(rows):
        cells = [cell.rjust(size) if head in _RIGHT else cell.ljust(size)
                 for head, cell, size in zip(_HEAD, row, widths, strict=True)]
        if index == 0:
            cells = [paint(cell, bold=True) for cell in cells[:-1]] + [paint(row[-1], bold=True)]
        else:
            cells[1] = paint(cells[1], fg=_COLOURS[row[1]]) if row[1] in _COLOURS else cells[1]
            cells[-1] = row[-1]
        yield "  ".join(cells)
    for service in found.services:
        for text in (*_trouble(service, now), *(_details(service) if in_detail else ())):
            yield from textwrap.wrap(f"{service.name}: {text}", max(40, width), subsequent_indent="    ", break_on_hyphens=False)


def not_readable(found: Survey) -> list[str]:
    """Return what this user could not read, and what helps."""
    return [_REMEDIES[what] for what in found.not_readable]


def _row(service: Service, found: Survey, now: float) -> tuple[str, ...]:
    unknown = "?" if JOURNAL in found.not_readable else "-"
    wake, times = service.last_wake, service.wake_time
    idle = span(service.idle_left) if service.idle_left is not None else "-"
    return (
        service.name, service.state, str(service.connections),
        f"{span(now - wake.time)} ago" if wake else unknown,
        milliseconds(wake.total) if wake and wake.total is not None else unknown,
        milliseconds(times.p50) if times else unknown, milliseconds(times.p99) if times else unknown,
        "?" if service.state == "awake" and IDLE in found.not_readable else idle,
        " ".join(map(port, service.ports)) or "-")


def _trouble(service: Service, now: float) -> Iterator[str]:
    if service.failures_in_a_row and service.state in ("failing", "starting"):
        count = service.failures_in_a_row
        text = "the last wake failed" if count == 1 else f"the last {count} wakes failed"
        if service.last_failure:
            text += f", {span(now - service.last_failure.time)} ago: {service.last_failure.reason}"
        if service.next_attempt is not None:
            left = service.next_attempt - now
            text += "; the next connection tries again" + (f", in {span(left)} at the earliest" if left > 0.5 else "")
        yield text
    if service.state == "closed":
        unit = f"ondemand-{service.name.replace('+', '_')}.socket"
        yield f"does not listen, though it is enabled; 'journalctl --unit {unit}' tells why"


def _details(service: Service) -> Iterator[str]:
    wake, times = service.last_wake, service.wake_time
    if wake:
        client = f"by {wake.client}" if wake.client else "without a client"
        phases = ", ".join(f"{name.replace('_', ' ')} {count} ms" for name, count in wake.phases)
        yield f"last woken {moment(wake.time)} {client} in {wake.total} ms ({phases})"
    if times:
        yield (f"{times.count} wake{'s' if times.count > 1 else ''} in {LOOK_BACK_DAYS} days, half of them in {times.p50} ms "
               f"or less, 99 % in {times.p99} ms or less")
    if service.failures and service.last_failure:
        yield (f"{service.failures} failed wake{'s' if service.failures > 1 else ''} in {LOOK_BACK_DAYS} days, the last "
               f"{moment(service.last_failure.time)}: {service.last_failure.reason}")


def as_json(found: Survey) -> str:
    """Return everything as one JSON object; what does not apply or can't be read is null."""
    return json.dumps({"services": [_object(service) for service in found.services], "look_back_days": LOOK_BACK_DAYS,
                       "not_readable": list(found.not_readable)}, indent=2, ensure_ascii=False)


def _object(service: Service) -> dict[str, Any]:
    wake, failure, times = service.last_wake, service.last_failure, service.wake_time
    return {
        "name": service.name, "state": service.state, "ports": list(service.ports), "connections": service.connections,
        "idle_left_s": service.idle_left,
        "last_wake": {**_of_record(wake), **{f"{phase}_ms": dict(wake.phases).get(phase) for phase in PHASES},
                      "total_ms": wake.total} if wake else None,
        "wake_time": {"p50_ms": times.p50, "p99_ms": times.p99, "count": times.count} if times else None,
        "failures": service.failures, "failures_in_a_row": service.failures_in_a_row,
        "last_failure": {**_of_record(failure), "reason": failure.reason} if failure else None,
        "next_attempt": moment(service.next_attempt) if service.next_attempt is not None else None,
    }


def _of_record(record: Record) -> dict[str, Any]:
    return {"time": moment(record.time), "client": record.client}


def moment(seconds: float) -> str:
    """Return a time as RFC 3339 writes it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span(seconds: float) -> str:
    """Return a time span in its largest unit, as systemd writes units."""
    seconds = max(0.0, seconds)
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds / size)}{unit}"
    return f"{int(seconds)}s"


def milliseconds(count: int) -> str:
    """Return a count of milliseconds in at most five characters, unless it is of hours."""
    if count < 1000:
        return f"{count}ms"
    return f"{count / 1000:.1f}s" if count < 99950 else span(count / 1000)


def port(address: str) -> str:
    """Return an address as a declaration has it: every address of the host is its port alone."""
    host, _, number = address.rpartition(":")
    return number if host in ("[::]", "") and not address.startswith("/") else address
