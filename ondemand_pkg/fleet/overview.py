"""The services of many hosts as people and as programs read them.

Knows the table, its summary and the JSON object; hides which members of an answer they are from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from ondemand_host.table import size
from ondemand_host.visible import as_json as visible_json
from ondemand_pkg.fleet.asking import Answer
from ondemand_pkg.package import UNRECORDED

_HEAD = ("HOST", "NAME", "STATE", "CONN", "LAST WAKE", "FAILED", "VERSION", "HELPERS")
_RIGHT = {"CONN", "FAILED"}
_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def lines(answers: Sequence[Answer], now: float) -> Iterator[str]:
    """Yield the lines of the table: a row for each service of each host; nothing where there is none."""
    rows = [_row(answer.host, service, now) for answer in answers for service in answer.services]
    if not rows:
        return
    widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
    for row in (_HEAD, *rows):
        yield "  ".join(cell.rjust(size) if head in _RIGHT else cell.ljust(size)
                        for head, cell, size in zip(_HEAD, row, widths, strict=True)).rstrip()


def summary(answers: Sequence[Answer]) -> str:
    """Return how many hosts there are, and how many services in which state."""
    states = Counter(str(service["state"]) for answer in answers for service in answer.services)
    silent = sum(bool(answer.fault) for answer in answers)
    text = f"{_count(len(answers), 'host')}, {_count(states.total(), 'service')}"
    if states:
        text += ": " + ", ".join(f"{count} {state}" for state, count in states.most_common())
    given_back = sum(count for answer in answers for service in answer.services
                     if type(count := service.get("given_back_bytes")) is int)
    if given_back:
        text += f"; those asleep give back {size(given_back)} of memory"
    return text + (f"; {_count(silent, 'host')} did not answer" if silent else "")


def as_json(answers: Sequence[Answer]) -> str:
    """Return everything as one JSON object."""
    return visible_json({"hosts": [{"host": answer.host, "error": answer.fault or None, "services": list(answer.services)}
                                   for answer in answers]})


def _row(host: str, service: dict[str, Any], now: float) -> tuple[str, ...]:
    wake = service.get("last_wake")
    time = wake.get("time") if isinstance(wake, dict) else None
    return (host, str(service["name"]), str(service["state"]), _number(service.get("connections")), _ago(time, now),
            _number(service.get("failures_in_a_row")), str(service.get("version") or "-"),
            str(service.get("built_by") or UNRECORDED))


def _number(value: Any) -> str:
    return str(value) if type(value) is int else "-"


def _ago(time: Any, now: float) -> str:
    try:
        seconds = max(0.0, now - datetime.strptime(str(time), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())
    except ValueError:
        return "-"
    return next((f"{int(seconds / size)}{unit} ago" for size, unit in _UNITS if seconds >= size), "0s ago")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"
