"""The command line of declarations that are made from what is there.

Knows the commands `init` and `import`; hides everything else behind one call a command.  The modules behind them are
loaded when they are called: most calls of the program build packages.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondemand_pkg.commands import Report, command
from ondemand_pkg.errors import OndemandError

if TYPE_CHECKING:
    from ondemand_pkg.importing.draft import Draft, Note

OUTPUT = click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
                      help="Where the declaration goes; standard output unless told.")
FORCE = click.option("--force", is_flag=True, help="Overwrite FILE where it is there already.")


@click.command("init")
@command
@click.argument("image")
@OUTPUT
@FORCE
@click.option("--offline", is_flag=True, help="Ask no Docker engine; write the smallest declaration.")
def init_command(report: Report, image: str, output: Path | None, force: bool, offline: bool) -> None:
    """Write a declaration from what IMAGE says of itself, asked of Docker."""
    from ondemand_pkg.importing import source

    try:
        draft = source.image(image, None if offline else os.environ, report.progress)
    finally:
        report.progress("")
    _write(report, [draft], [], f"the image {image}", output, force)


@click.command("import")
@command
@click.argument("file", required=False, type=click.Path())
@click.option("--container", metavar="NAME", help="A container of this machine's engine, in place of FILE.")
@OUTPUT
@FORCE
def import_command(report: Report, file: str | None, container: str | None, output: Path | None, force: bool) -> None:
    """Write a declaration from FILE, a Compose or a Quadlet (.container) file, or from a container.

    What could not be carried over is told on standard error and in a comment of the result.
    """
    from ondemand_pkg.importing import source

    if file is not None and container is None:
        if output is not None and output.exists() and Path(file).exists() and output.samefile(file):
            raise OndemandError(f"{output}: it is the file that is imported; give another file with --output")
        _write(report, *source.read(file, os.environ), file, output, force)
    elif container is not None and file is None:
        _write(report, *source.inspect(container, os.environ), f"the container {container}", output, force)
    else:
        raise click.UsageError("give either a FILE or --container NAME")


def _write(report: Report, drafts: Sequence[Draft], notes: Sequence[Note], origin: str, output: Path | None,
           force: bool) -> None:
    from ondemand_pkg.importing import draft
    from ondemand_pkg.importing import output as written

    text = draft.text(drafts, origin, notes)
    if output is None:
        click.echo(text, nl=False)
    else:
        written.write(text, output, force)
    for note in [*notes, *(note for one in drafts for note in one.notes)]:
        report.note(str(note))
    if output is not None:
        report.note(f"{output}: written; 'ondemand-pkg check {output}' tells what is wrong with it")


def register(cli: click.Group) -> None:
    """Add the commands to the program."""
    cli.add_command(init_command)
    cli.add_command(import_command)
