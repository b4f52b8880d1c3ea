"""Groups of commands.

Knows how the help of a group lists them; hides how click would.
"""

from __future__ import annotations

import inspect
import re

import click

_END = re.compile(r"(?<=\.) (?=[A-Z])")  # between two sentences


class Listing(click.Group):
    """A group of commands; its help says what each does in a whole sentence, where click cuts it at the end of the line."""

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        rows = []
        for name in self.list_commands(context):
            command = self.get_command(context, name)
            assert command is not None
            first = " ".join(inspect.cleandoc(command.help or "").split("\n\n")[0].split())
            rows.append((name, _END.split(first)[0].rstrip(".") + "."))
        with formatter.section("Commands"):
            formatter.write_dl(rows)
