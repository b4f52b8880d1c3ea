"""Times of several ways to one end, and their comparison.

Knows how ways are measured so that none gains from when its turn comes, and what a reader is told of their times; hides
statistics and the layout of tables.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import click

Sample = float | None  # seconds; None where the way did not lead to its end


@dataclass(frozen=True)
class Alternative:
    """One way: a name, and what goes it once and returns the seconds that it took."""

    name: str
    measure: Callable[[], Sample]


def timed(way: Callable[[], object]) -> Callable[[], Sample]:
    """Return what measures a way by this process's clock."""

    def measure() -> float:
        begin = time.perf_counter()
        way()
        return time.perf_counter() - begin

    return measure


def in_turns(alternatives: Sequence[Alternative], runs: int, warm_up: int = 1) -> dict[str, list[Sample]]:
    """Go every way once a round, and return the times of each, round by round.

    What slows the machine down for a while slows all ways down.  Each round begins with another way, so that none always
    follows the same.  The first rounds count for nothing: they fill caches.
    """
    times: dict[str, list[Sample]] = {alternative.name: [] for alternative in alternatives}
    for number in range(-warm_up, runs):
        first = number % len(alternatives)
        for alternative in (*alternatives[first:], *alternatives[:first]):
            sample = alternative.measure()
            if number >= 0:
                times[alternative.name].append(sample)
    return times


def added(*series: Sequence[Sample]) -> list[Sample]:
    """Return the times of ways that are gone one after the other, round by round."""
    return [None if None in samples else sum(sample or 0.0 for sample in samples) for samples in zip(*series, strict=True)]


def succeeded(samples: Iterable[Sample]) -> list[float]:
    """Return the times of the rounds that led to the end."""
    return [sample for sample in samples if sample is not None]


def ratio(samples: Sequence[Sample], baseline: Sequence[Sample]) -> float | None:
    """Return the ratio of two medians; None where one of the two never succeeded."""
    ours, theirs = succeeded(samples), succeeded(baseline)
    return statistics.median(ours) / statistics.median(theirs) if ours and theirs else None


def verdict(what: str, value: float | None, aim: float, unit: str = "", *, least: bool = False) -> str:
    """Return a line that holds a number against its aim, which is the most (or the least) that it may be."""
    aimed = f"aim: at {'least' if least else 'most'} {aim:g}{unit}"
    if value is None:
        return f"{what}: not measured ({aimed})"
    reached = value >= aim if least else value <= aim
    return f"{what}: {value:.4g}{unit} ({aimed}, {'reached' if reached else 'MISSED'})"


@dataclass(frozen=True)
class Bar:
    """One number of a plot, and the spread that it was seen in."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Table:
    """What a reader is shown: rows below a head, then lines; as bars, of a unit, where a plot shows it."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    bars: Sequence[Bar] = ()
    unit: str = ""

    def text(self) -> str:
        """Return the table for a terminal; first column left, the others right."""
        widths = [max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)]
        if not any(self.head):
            lines = [f"{row[0].ljust(widths[0])}  {row[1]}" for row in self.rows]
            return "\n".join([click.style(self.title, bold=True), *lines, *self.notes]) + "\n"
        lines = ["  ".join(cell.rjust(width) if index else cell.ljust(width)
                           for index, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
                 for row in (self.head, *self.rows)]
        lines.insert(1, "-" * max(map(len, lines)))
        return "\n".join([click.style(self.title, bold=True), *lines, *self.notes]) + "\n"

    def markdown(self) -> str:
        """Return the table as Markdown."""
        rows = [self.head, ["---", *["---:"] * (len(self.head) - 1)], *self.rows]
        lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
        return "\n".join([f"### {self.title}", "", *lines, "", *(f"- {note}" for note in self.notes)]).rstrip() + "\n"


def comparison(title: str, times: Mapping[str, Sequence[Sample]], baseline: str, notes: Sequence[str] = ()) -> Table:
    """Return a table of ways: median and spread in milliseconds, ratio of the medians to that of one way."""
    rows, bars = [], []
    for name, samples in times.items():
        good = succeeded(samples)
        failed = len(samples) - len(good)
        relative = ratio(samples, times[baseline])
        numbers = [statistics.median(good), min(good), *_quartiles(good)] if good else []
        if good:
            bars.append(Bar(name, *(number * 1000 for number in (numbers[0], *numbers[2:]))))
        rows.append([name, *(f"{number * 1000:.1f}" for number in numbers), *["-"] * (4 - len(numbers)),
                     "-" if relative is None else f"{relative:.2f}", f"{failed} of {len(samples)}" if failed else "0"])
    return Table(title, ["", "median [ms]", "min", "quartile 1", "quartile 3", "ratio", "failed"], rows, notes, bars, "ms")


def _quartiles(samples: Sequence[float]) -> tuple[float, float]:
    if len(samples) < 2:
        return samples[0], samples[0]
    lower, _, upper = statistics.quantiles(samples, n=4, method="inclusive")
    return lower, upper
