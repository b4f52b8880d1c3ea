"""Arguments and options that several commands take.

Knows their names and help; hides nothing.
"""

from __future__ import annotations

from pathlib import Path

import click

from ondemand_pkg.formats import FORMATS

FILES = click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
OUTPUT = click.option("-o", "--output", default="dist", show_default=True, type=click.Path(path_type=Path), metavar="DIR",
                      help="Directory for the results.")
FORMAT = click.option("--format", "formats", multiple=True, type=click.Choice(list(FORMATS)),
                      callback=lambda context, option, names: tuple(FORMATS[name] for name in names or FORMATS),
                      help="Only this format; repeatable. Both by default.")


class OfDeclarations(click.Command):
    """A command that reads declarations; its help ends with their keys."""

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        from ondemand_pkg.declaration import reference

        with formatter.section("Keys of [container.NAME]; those marked * are allowed in [package] too"):
            formatter.write_dl(reference.summary())
