"""The command line of what differs between packages or declarations.

Knows the command `diff`; hides everything else behind one call.
"""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

import click

from ondemand_host.visible import as_json
from ondemand_pkg.building.images import Images
from ondemand_pkg.cli.shared import Report, command
from ondemand_pkg.comparing import difference as difference_of
from ondemand_pkg.comparing import sides
from ondemand_pkg.errors import OndemandError


@click.command("diff")
@functools.partial(command, fault_status=2)
@click.argument("old", type=click.Path())
@click.argument("new", type=click.Path())
@click.option("--json", "is_json", is_flag=True, help="Print a JSON array with one object per package that differs.")
def diff_command(report: Report, old: str, new: str, is_json: bool) -> None:
    """Show what upgrading from OLD to NEW (packages or declarations) does to a host.

    Exit status like diff(1): 0 no differences, 1 differences, 2 trouble.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="ondemand-pkg-") as temporary:
            before, after, formats_differ = sides.sides(old, new, os.environ, Images(Path(temporary)))
            found = [difference for difference in difference_of.compare(before, after, formats_differ) if difference]
    except ValueError as error:
        raise OndemandError(f"{old}, {new}: {error}") from None
    if formats_differ:
        report.note("the formats differ: scripts, relations and documents are not compared")
    if is_json:
        report.text(as_json([difference.as_json() for difference in found]) + "\n")
    else:
        for line in (line for difference in found for line in difference.lines()):
            report.result(line)
    raise SystemExit(1 if found else 0)
