"""The benchmark's command line.

Knows its parts and what a reader is told first; hides how each part measures.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

import click

from ondemand_pkg import __version__

from . import application, asleep, datagrams, herd, kernel, packing, plot, relay, repository, wake
from .measure import Table

PARTS = {"packing": packing, "wake": wake, "relay": relay, "kernel": kernel, "datagrams": datagrams, "asleep": asleep,
         "herd": herd, "application": application, "repository": repository}


def machine() -> list[tuple[str, str]]:
    """Return what the times depend on."""
    models = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
              if line.startswith("model name")]
    return [("processors", f"{os.cpu_count()}{f' x {models[0]}' if models else ''}"),
            ("load before", " ".join(f"{load:.2f}" for load in os.getloadavg())),
            ("kernel", platform.release()), ("Python", platform.python_version()), ("ondemand-pkg", __version__)]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)),
                metavar="[packing] [wake] [relay] [kernel] [datagrams] [asleep] [herd] [application] [repository]")
@click.option("--runs", default=20, show_default=True, type=click.IntRange(min=1), metavar="N", help="Rounds that count.")
@click.option("--markdown", type=click.Path(dir_okay=False, writable=True, path_type=Path), metavar="FILE",
              help="Write the tables here too, as Markdown.")
@click.option("--plot", "plots", type=click.Path(dir_okay=False, writable=True, path_type=Path), metavar="FILE", multiple=True,
              help="Write a plot here, in the format that the name's end tells (.png, .svg); may stand several times.")
def main(parts: tuple[str, ...], runs: int, markdown: Path | None, plots: tuple[Path, ...]) -> None:
    """Print speeds side by side: of packing, of the first request that wakes a container, of the relay and past it, of datagrams,
    of many services asleep, of many that are woken at once, of an application, of a repository of 10,000 packages.

    All but packing and repository need root.  Without a name all parts run that can.
    """
    reasons = {name: PARTS[name].missing() for name in parts or PARTS}
    for name, reason in reasons.items():
        if reason and parts:
            raise click.ClickException(f"{name}: {reason}")
        if reason:
            click.echo(f"{name} is left out: {reason}", err=True)
    shown: list[Table] = []

    def show(table: Table) -> None:
        shown.append(table)
        click.echo(table.text())

    show(Table("This machine", ["", ""], machine()))
    for name, part in PARTS.items():
        if reasons.get(name) != "":
            continue
        show(Table(f"{name}: what is compared", ["", ""], part.facts()))
        for table in part.tables(runs):
            show(table)
    if markdown is not None:
        markdown.write_text("\n".join(table.markdown() for table in shown), encoding="utf-8")
    if plots:
        plot.draw(shown, plots)


if __name__ == "__main__":
    main(prog_name="python -m bench")
