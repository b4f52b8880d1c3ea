"""The command line.

Knows commands, options, streams and exit statuses; hides everything else behind one call a command.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import click

from ondemand_pkg import __version__, build, importing_cli, linting, repository_cli, subject, tree, verifying
from ondemand_pkg import difference as difference_of
from ondemand_pkg.commands import Report, command, written_off
from ondemand_pkg.declaration import reader, reference
from ondemand_pkg.declaration.rules import Severity
from ondemand_pkg.errors import DeclarationError, OndemandError
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.host import report as host_report
from ondemand_pkg.host.services import survey
from ondemand_pkg.images import Images
from ondemand_pkg.show import shown
from ondemand_pkg.source import write_source

FILES = click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
OUTPUT = click.option("-o", "--output", default="dist", show_default=True, type=click.Path(path_type=Path), metavar="DIR",
                      help="Where the results go.")
FORMAT = click.option("--format", "formats", multiple=True, type=click.Choice(list(FORMATS)),
                      help="One format alone; may be given again. Both unless told.")
EPILOG = "\b\nKeys of a declaration, [container.NAME] or, those marked *, [package]:\n" + reference.summary()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ondemand-pkg")
def cli() -> None:
    """Build native packages for containers that start at the first connection."""


@cli.command("build", epilog=EPILOG)
@command
@FILES
@OUTPUT
@FORMAT
def build_command(report: Report, files: tuple[str, ...], output: Path, formats: tuple[str, ...]) -> None:
    """Build the packages that declarations ask for; print their paths."""
    todo = build.tasks(reader.read(files), formats or tuple(FORMATS), os.environ)
    if sys.stderr.isatty() and len(todo) >= build.WORTH_PROCESSES:
        with click.progressbar(length=len(todo), label="packages", file=sys.stderr) as bar:
            written = build.write(todo, output, lambda: bar.update(1))
    else:
        written = build.write(todo, output)
    for path in written:
        report.detail(f"{path}: {path.stat().st_size} bytes")
        click.echo(path)


@cli.command("check", epilog=EPILOG)
@command
@FILES
@click.option("--format", "report_format", type=click.Choice(list(linting.REPORTS)), default="text", show_default=True,
              help="How findings are told; json and github on standard output, with the errors.")
@click.option("--strict", is_flag=True, help="End with 1 where there is a warning.")
@click.option("--units", is_flag=True, help="Have systemd-analyze verify the units too.")
def check_command(report: Report, files: tuple[str, ...], report_format: str, strict: bool, units: bool) -> None:
    """Tell every error of declarations, and what rules find in them; write nothing."""
    tell = linting.REPORTS[report_format]
    try:
        declared = reader.read_declared(files)
    except DeclarationError as error:
        click.echo(tell(error.faults, ()), nl=False)
        raise
    containers = [one.container for one in declared]
    for task in build.tasks(containers, tuple(FORMATS), os.environ):
        tree.package(task.container, task.format_name, task.time)
    if units and (lines := verifying.verified(containers)):
        raise OndemandError("\n".join(["systemd finds fault with the units:", *lines]))
    found = linting.findings(declared)
    warnings = [finding for finding in found if finding.rule.severity is Severity.WARNING]
    if report_format == "text":
        click.echo(tell((), found if report.is_verbose else warnings if not report.is_quiet else ()), nl=False, err=True)
    else:
        click.echo(tell((), found), nl=False)
    told = f"{len(warnings)} warning{'s' if len(warnings) != 1 else ''}" if warnings else ""
    report.note(f"{len(containers)} container{'s' if len(containers) != 1 else ''}: no error{', ' + told if told else ''}")
    if strict and warnings:
        raise SystemExit(1)


@cli.command("show", epilog=EPILOG)
@command
@click.argument("file", type=click.Path())
@FORMAT
def show_command(report: Report, file: str, formats: tuple[str, ...]) -> None:
    """Print every field, script and file that the packages of a declaration would hold."""
    del report
    containers = reader.read([file])
    with tempfile.TemporaryDirectory(prefix="ondemand-pkg-") as temporary:
        images = Images(Path(temporary))
        for task in build.tasks(map(images.resolved, containers), formats or tuple(FORMATS), os.environ):
            click.echo(shown(tree.package(task.container, task.format_name, task.time), task.format_name), nl=False)


@cli.command("diff")
@functools.partial(command, fault_status=2)
@click.argument("old", type=click.Path())
@click.argument("new", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects, one for each package that differs.")
def diff_command(report: Report, old: str, new: str, as_json: bool) -> None:
    """Say what going from OLD to NEW, packages or declarations, does to a host.

    Exit status as diff(1) has it: 0 nothing, 1 something, 2 trouble.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="ondemand-pkg-") as temporary:
            before, after, formats_differ = subject.sides(old, new, os.environ, Images(Path(temporary)))
            found = [difference for difference in difference_of.compare(before, after, formats_differ) if difference]
    except ValueError as error:
        raise OndemandError(f"{old}, {new}: {error}") from None
    if formats_differ:
        report.note("the formats differ: scripts, relations and documents are not compared")
    if as_json:
        click.echo(json.dumps([difference.as_json() for difference in found], indent=2, ensure_ascii=False))
    else:
        for line in (line for difference in found for line in difference.lines()):
            click.echo(line)
    raise SystemExit(1 if found else 0)


@cli.command("source", epilog=EPILOG)
@command
@FILES
@OUTPUT
def source_command(report: Report, files: tuple[str, ...], output: Path) -> None:
    """Write source trees that dpkg-buildpackage and rpmbuild build; print their paths."""
    del report
    for path in write_source(reader.read(files), output, os.environ):
        click.echo(path)


@cli.command("status")
@command
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def status_command(report: Report, names: tuple[str, ...], as_json: bool) -> None:
    """Tell of each on-demand service of this host: asleep or awake, its connections, how its wakes went; more of those named."""
    found = survey(names)
    now = time.time()
    if as_json:
        click.echo(host_report.as_json(found))
        return
    if not found.services:
        report.note("no on-demand service is installed on this host")
    for line in host_report.lines(found, now, shutil.get_terminal_size((80, 24)).columns, bool(names), click.style):
        click.echo(line)
    for remedy in host_report.not_readable(found):
        report.note(remedy)


importing_cli.register(cli)
repository_cli.register(cli)


def main() -> None:
    """Run the command line."""
    try:
        cli()
    except OSError as error:
        raise SystemExit(written_off(Report(0), error)) from None
