"""What all commands share.

Knows --quiet, --verbose, the one form in which errors are printed, and that nothing is printed but through here: what others
wrote must not steer the terminal.  Hides exceptions and exit statuses.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from ondemand_host.visible import visible
from ondemand_pkg.errors import DeclarationError, OndemandError


class Report:
    """What a command prints: results on standard output, the rest on standard error."""

    def __init__(self, level: int) -> None:
        self._level = level

    @property
    def is_verbose(self) -> bool:
        """Whether more is asked for."""
        return self._level > 0

    @property
    def is_quiet(self) -> bool:
        """Whether nothing but results and errors is asked for."""
        return self._level < 0

    def result(self, line: object) -> None:
        """Print a line of the results."""
        click.echo(visible(str(line)))

    def text(self, text: str, err: bool = False) -> None:
        """Print a text of several lines as it is laid out."""
        click.echo(visible(text, "\n\t"), nl=False, err=err)

    def fault(self, message: object) -> None:
        """Tell a fault."""
        lines = message.lines if isinstance(message, OndemandError) else (str(message),)
        click.echo(f"{click.style('error:', fg='red', bold=True)} " + "\n".join(map(visible, lines)), err=True)

    def note(self, message: str) -> None:
        """Tell what --quiet leaves out."""
        if self._level >= 0:
            click.echo(visible(message), err=True)

    def next_step(self, message: str) -> None:
        """Say what is usually done next, to people: on a terminal alone."""
        if sys.stderr.isatty():
            self.note(message)

    def progress(self, message: str) -> None:
        """Show a step of what takes long: on a terminal, the latest on one line; an empty one takes it off again."""
        if self._level >= 0 and sys.stderr.isatty():
            click.echo(f"\r\x1b[K{visible(message)[:100]}", err=True, nl=False)

    def detail(self, message: str) -> None:
        """Tell what only --verbose shows."""
        if self._level > 0:
            click.echo(visible(message), err=True)


def written_off(report: Report, error: OSError, status: int = 1) -> int:
    """Give up standard output, to which results can't be written; return the exit status.

    A pipe that its reader closed is no fault; anything else is told.  Any other OSError is raised again.
    """
    if error.filename is not None:
        raise error
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would try again at its end, and tell
    if isinstance(error, BrokenPipeError):
        return 1
    report.fault(f"standard output: {error.strerror}; the output is incomplete")
    return status


def command(function: Callable[..., None], fault_status: int = 1) -> Callable[..., None]:
    """Give a command --quiet and --verbose, and its faults one form and exit status."""

    @click.option("-q", "--quiet", is_flag=True, help="Print only results and errors.")
    @click.option("-v", "--verbose", is_flag=True, help="Print more.")
    def run(quiet: bool, verbose: bool, **arguments: Any) -> None:
        report = Report(verbose - quiet)
        try:
            function(report=report, **arguments)
        except DeclarationError as error:
            for fault in error.faults:
                report.fault(fault)
            raise SystemExit(fault_status) from None
        except OndemandError as error:
            report.fault(error)
            raise SystemExit(fault_status) from None
        except OSError as error:
            raise SystemExit(written_off(report, error, fault_status)) from None

    run.__doc__ = function.__doc__
    run.__name__ = function.__name__
    vars(run)["__click_params__"] += getattr(function, "__click_params__", [])
    return run
