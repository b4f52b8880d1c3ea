"""The command line.

Knows which module has which command, and exit statuses; hides everything else behind one call a command.  A command's module
is loaded when the command is called, or its help is asked for: the start of the program is most of what a command takes.
"""

from __future__ import annotations

import contextlib
import difflib
import gc
import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, cast

import click

from ondemand_host.visible import visible
from ondemand_pkg import __version__
from ondemand_pkg.cli.listing import Listing
from ondemand_pkg.cli.shared import Report, written_off

# Each command's module in this room, and its name there.
_COMMANDS = {
    "build": ("packages", "build_command"),
    "check": ("checking", "check_command"),
    "diff": ("comparing", "diff_command"),
    "export": ("exporting", "export_command"),
    "doctor": ("host", "doctor_command"),
    "fleet": ("fleet", "fleet_command"),
    "import": ("importing", "import_command"),
    "init": ("importing", "init_command"),
    "logs": ("host", "logs_command"),
    "publish": ("repository", "publish_command"),
    "rebuild": ("repository", "rebuild_command"),
    "repo": ("repository", "repo_group"),
    "report": ("host", "report_command"),
    "show": ("packages", "show_command"),
    "sleep": ("host", "sleep_command"),
    "source": ("packages", "source_command"),
    "status": ("host", "status_command"),
    "wake": ("host", "wake_command"),
}
# That are made before garbage is looked for: modules make many when they are loaded, and none of those is garbage.
_OBJECTS = 100_000


class _Commands(Mapping[str, click.Command]):
    """The commands by name, each loaded when it is asked for."""

    def __getitem__(self, name: str) -> click.Command:
        module, attribute = _COMMANDS[name]
        found: click.Command = getattr(importlib.import_module(f"ondemand_pkg.cli.{module}"), attribute)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


class _Group(Listing):
    """The program; names of files that a shell put into the command line are quoted by click in its usage errors."""

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        with _quoted_visibly():
            return super().make_context(*arguments, **more)

    def resolve_command(self, context: click.Context, words: list[str]) -> Any:
        """Find a command; the one that was probably meant is named by every release of click, not only by newer ones."""
        if words and not words[0].startswith("-") and words[0] not in _COMMANDS:
            close = difflib.get_close_matches(words[0], _COMMANDS, 1)
            context.fail(f"No such command {words[0]!r}." + (f" Did you mean {close[0]!r}?" if close else ""))
        return super().resolve_command(context, words)

    def invoke(self, context: click.Context) -> Any:
        with _quoted_visibly():
            return super().invoke(context)


@contextlib.contextmanager
def _quoted_visibly() -> Iterator[None]:
    try:
        yield
    except click.ClickException as error:
        vars(error)["message"] = visible(error.message)  # final for others
        raise


@click.group(cls=_Group, commands=cast(MutableMapping[str, click.Command], _Commands()),
             context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ondemand-pkg")
def cli() -> None:
    """Build native packages for containers that start at the first connection."""


def main() -> None:
    """Run the command line."""
    gc.set_threshold(_OBJECTS)
    try:
        cli()
    except OSError as error:
        raise SystemExit(written_off(Report(0), error)) from None
