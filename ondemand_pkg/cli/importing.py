"""The commands that write declarations from what exists already.

Knows the commands `init` and `import`; hides everything else behind one call a command.  The modules behind them are
loaded when they are called: most calls of the program build packages.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondemand_pkg.cli.shared import Report, command
from ondemand_pkg.errors import OndemandError

if TYPE_CHECKING:
    from ondemand_pkg.importing.draft import Draft
    from ondemand_pkg.importing.notes import Note

OUTPUT = click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
                      help="Where to write the declaration; standard output by default.")
FORCE = click.option("--force", is_flag=True, help="Overwrite FILE if it exists.")


@click.command("init")
@command
@click.argument("image")
@OUTPUT
@FORCE
@click.option("--offline", is_flag=True, help="Do not contact a Docker engine; write a minimal declaration.")
def init_command(report: Report, image: str, output: Path | None, force: bool, offline: bool) -> None:
    """Write a declaration from the metadata of IMAGE, queried from Docker."""
    from ondemand_pkg.importing import origins

    try:
        draft = origins.image(image, None if offline else os.environ, report.progress)
    finally:
        report.progress("")
    _write(report, [draft], [], f"the image {image}", output, force)


@click.command("import")
@command
@click.argument("files", nargs=-1, metavar="[FILE... | DIRECTORY | -- docker run ...]", type=click.Path())
@click.option("--container", metavar="NAME", help="Import a container of this machine's Docker engine instead of FILE.")
@OUTPUT
@FORCE
@click.option("--allow-outside", is_flag=True, help="Also read files outside FILE's directory that FILE names, or that "
              "links in DIRECTORY lead to.")
@click.option("--profile", "profiles", multiple=True, metavar="NAME", help="Import services of this Compose profile, and those "
              "without one; may be repeated. All services by default.")
@click.option("--offline", is_flag=True, help="Do not ask a Docker engine which ports an image exposes.")
@click.option("--json", "as_json", is_flag=True, help="Print the declaration and the notes as JSON.")
def import_command(report: Report, files: tuple[str, ...], container: str | None, output: Path | None, force: bool,
                   allow_outside: bool, profiles: tuple[str, ...], offline: bool, as_json: bool) -> None:
    """Write a declaration from FILE, a Compose or Quadlet (.container) file, from a container, or from a command line.

    DIRECTORY is a Compose project, or one of Quadlet files, which are read together.  After --, a whole command line
    'docker run ...' or 'podman run ...' is read; nothing is run.

    Several Compose files are merged in their order, as 'docker compose -f FILE -f FILE' does; beside a compose.yaml, an override
    file and COMPOSE_FILE count as they do for Compose.  Other files outside the first FILE's directory are not read, unless
    --allow-outside is given; links don't change where a file is.  What could not be imported is listed on standard error and in a
    comment in the result, what matters most first; --verbose lists what is routine too.
    """
    from ondemand_pkg.importing import origins

    if bool(files) == (container is not None) or (container is not None and (allow_outside or profiles)):
        raise click.UsageError("give either a FILE or --container NAME, and --allow-outside and --profile only with a FILE")
    if container is not None:
        _write(report, *origins.inspect(container, os.environ), f"the container {container}", output, force, as_json)
        return
    if origins.is_command_line(files):
        _write(report, *origins.typed(files), "a command line", output, force, as_json)
        return
    for file in files:
        if output is not None and output.exists() and Path(file).exists() and output.samefile(file):
            raise OndemandError(f"{output}: this is the file to import; give another file with --output")
    drafts, notes = origins.read(files, os.environ, allow_outside, profiles, offline)
    _write(report, drafts, notes, " and ".join(files), output, force, as_json)


def _write(report: Report, drafts: Sequence[Draft], notes: Sequence[Note], origin: str, output: Path | None,
           force: bool, as_json: bool = False) -> None:
    from ondemand_pkg.importing import draft, safe_file
    from ondemand_pkg.importing import notes as telling

    everything = [*notes, *(note for one in drafts for note in one.notes)]
    text = draft.text(drafts, origin, notes)
    safe_file.check(text, origin, telling.lines(everything, report.is_verbose))
    if output is not None:
        safe_file.write(text, output, force)
    if as_json:
        report.text(json.dumps({"output": None if output is None else str(output), "declaration": text,
                                "notes": telling.plain(everything)}, indent=2) + "\n")
        return
    if output is None:
        report.text(text)
    for line in telling.lines(everything, report.is_verbose):
        report.note(line)
    if everything or output is not None:
        done = f"{output}: written: " if output is not None else ""
        report.note(f"{done}{telling.summary(everything, len(drafts))}"
                    + (f"; run 'ondemand-pkg check {output}' to check it, then 'ondemand-pkg build {output}'"
                       if output is not None else ""))
