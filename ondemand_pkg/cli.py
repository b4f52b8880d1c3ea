"""The command line.

Knows commands, options, streams and exit statuses; hides everything else behind one call a command.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from ondemand_pkg import __version__, build, repository_cli, tree
from ondemand_pkg.commands import Report, command
from ondemand_pkg.declaration import reader, reference
from ondemand_pkg.formats import FORMATS
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
def check_command(report: Report, files: tuple[str, ...]) -> None:
    """Tell every error of declarations; write nothing."""
    containers = reader.read(files)
    for task in build.tasks(containers, tuple(FORMATS), os.environ):
        tree.package(task.container, task.format_name, task.time)
    report.note(f"{len(containers)} container{'s' if len(containers) != 1 else ''}: no error")


@cli.command("show", epilog=EPILOG)
@command
@click.argument("file", type=click.Path())
@FORMAT
def show_command(report: Report, file: str, formats: tuple[str, ...]) -> None:
    """Print every field, script and file that the packages of a declaration would hold."""
    del report
    for task in build.tasks(reader.read([file]), formats or tuple(FORMATS), os.environ):
        click.echo(shown(tree.package(task.container, task.format_name, task.time), task.format_name), nl=False)


@cli.command("source", epilog=EPILOG)
@command
@FILES
@OUTPUT
def source_command(report: Report, files: tuple[str, ...], output: Path) -> None:
    """Write source trees that dpkg-buildpackage and rpmbuild build; print their paths."""
    del report
    for path in write_source(reader.read(files), output, os.environ):
        click.echo(path)


repository_cli.register(cli)


def main() -> None:
    """Run the command line; a pipe that its reader closed is no fault."""
    try:
        cli()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
