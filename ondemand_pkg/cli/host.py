"""The commands of hosts, which are those of `ondemand`.

Knows which they are; hides that another program has them.
"""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from ondemand_host.main import COMMANDS, completions, main


def passed_on(name: str) -> click.Command:
    """Return a command that `ondemand` carries out, options and help included."""

    def complete(context: click.Context, _: click.Parameter, last: str) -> list[CompletionItem]:
        return [CompletionItem(word) for word in completions([name, *context.params.get("words", ()), last])]

    @click.command(name, help=COMMANDS[name].help, add_help_option=False, context_settings={"ignore_unknown_options": True})
    @click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS] [NAME]...", shell_complete=complete)
    def command(words: tuple[str, ...]) -> None:
        raise SystemExit(main([name, *words], program="ondemand-pkg"))

    return command


doctor_command, logs_command, report_command, sleep_command, status_command, wake_command = map(
    passed_on, ("doctor", "logs", "report", "sleep", "status", "wake"))
