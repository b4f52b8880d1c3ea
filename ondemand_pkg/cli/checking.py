"""The command line of what is wrong with declarations.

Knows the command `check`; hides everything else behind one call.
"""

from __future__ import annotations

import dataclasses
import os

import click

from ondemand_pkg.building import packing
from ondemand_pkg.checking import findings, unit_verification
from ondemand_pkg.cli.arguments import FILES, OfDeclarations
from ondemand_pkg.cli.shared import Report, command
from ondemand_pkg.declaration import reader
from ondemand_pkg.declaration.rules import Severity
from ondemand_pkg.errors import DeclarationError, OndemandError
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.model import Resolved, Stack


@click.command("check", cls=OfDeclarations)
@command
@FILES
@click.option("--format", "report_format", type=click.Choice(list(findings.REPORTS)), default="text", show_default=True,
              help="Output format; json and github go to standard output and include errors.")
@click.option("--strict", is_flag=True, help="Exit with status 1 if there is a warning.")
@click.option("--units", is_flag=True, help="Also verify the units with systemd-analyze.")
def check_command(report: Report, files: tuple[str, ...], report_format: str, strict: bool, units: bool) -> None:
    """Report every error in declarations, and what the rules find; write nothing."""
    tell = findings.REPORTS[report_format]
    try:
        site = reader.read_site(files)
    except DeclarationError as error:
        report.text(tell(error.faults, ()))
        raise
    containers = [one.container for one in site.declared]
    # No engine is asked: what a package would hold besides its image can be looked at without.
    for task in packing.tasks(site.packaged, FORMATS.values(), os.environ):
        one = task.declared
        resolved = one if isinstance(one, Stack) else Resolved(dataclasses.replace(one, pin=False, bundle=False))
        packing.Job(resolved, task.format, task.time).package()
    if units and (lines := unit_verification.verified(containers)):
        raise OndemandError("systemd reports errors in the units:", *lines)
    found = findings.findings(site.declared)
    errors, warnings = ([finding for finding in found if finding.rule.severity is severity]
                        for severity in (Severity.ERROR, Severity.WARNING))
    if report_format == "text":
        report.text(tell((), found if report.is_verbose else [*errors, *(warnings if not report.is_quiet else ())]), err=True)
    else:
        report.text(tell((), found))
    told = f"{len(warnings)} warning{'s' if len(warnings) != 1 else ''}" if warnings else ""
    failed = f"{len(errors)} error{'s' if len(errors) != 1 else ''}" if errors else "no error"
    noun = "service" if any(container.adopted for container in containers) else "container"
    report.note(f"{len(containers)} {noun}{'s' if len(containers) != 1 else ''}: {failed}{', ' + told if told else ''}")
    if errors or (strict and warnings):
        raise SystemExit(1)
