"""The plot of one run.

Knows which colours everyone can tell apart and how bars are labelled; hides matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .measure import Bar, Table

# Of the palette by Okabe and Ito: told apart with every kind of colour vision, and in print by their lightness.
OURS, OTHERS = "#0072B2", "#E69F00"
COLUMNS = 2
WIDTH, ROW, FRAME = 12.0, 0.34, 0.95  # inches: the plot, a bar, what surrounds the bars of a panel


def draw(tables: Sequence[Table], paths: Sequence[Path]) -> None:
    """Write a plot of the tables that have bars to compare to each path, in the format that its ending names."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"font.size": 9, "svg.hashsalt": "ondemand-pkg", "svg.fonttype": "none"})
    from matplotlib.figure import Figure

    shown = [table for table in tables if len(table.bars) > 1]
    rows = [shown[index:index + COLUMNS] for index in range(0, len(shown), COLUMNS)]
    heights = [FRAME + ROW * max(len(table.bars) for table in row) for row in rows]
    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    panels = figure.subplots(len(rows), COLUMNS, gridspec_kw={"height_ratios": heights}, squeeze=False)
    for line, row in zip(panels, rows, strict=True):
        for axes, table in zip(line, row, strict=False):
            _bars(axes, table.bars, max(len(other.bars) for other in row))
            axes.set_title(table.title, loc="left", fontsize=10, fontweight="bold")
            axes.set_xlabel(table.unit)
        for axes in line[len(row):]:
            axes.set_axis_off()
    for path in paths:
        figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)


def _bars(axes: Any, bars: Sequence[Bar], most: int) -> None:
    """Draw bars as thick as in the panel beside, which may have more of them."""
    places = list(range(len(bars)))[::-1]
    values = [bar.value for bar in bars]
    errors = [[bar.value - (bar.value if bar.low is None else bar.low) for bar in bars],
              [(bar.value if bar.high is None else bar.high) - bar.value for bar in bars]]
    axes.barh(places, values, xerr=errors, height=0.62, ecolor="#333333",
              color=[OURS if bar.name.startswith("here") else OTHERS for bar in bars],
              hatch=["" if bar.name.startswith("here") else "///" for bar in bars], edgecolor="white")
    axes.set_yticks(places, [bar.name for bar in bars])
    longest = max(max(bar.value, bar.high or 0.0) for bar in bars)
    axes.set_xlim(0, longest * 1.16 or 1)
    for place, bar in zip(places, bars, strict=True):
        axes.text(max(bar.value, bar.high or 0.0) + longest * 0.012, place, _number(bar.value), va="center")
    axes.set_ylim(len(bars) - most - 0.6, len(bars) - 0.4)
    axes.spines[["top", "right"]].set_visible(False)


def _number(value: float) -> str:
    """Return a number with three digits that count, or all of those before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
