"""The command line of many hosts.

Knows the command `fleet`; hides everything else behind one call.
"""

from __future__ import annotations

import time

import click

from ondemand_pkg.cli.shared import Report, command


@click.command("fleet")
@command
@click.argument("hosts", nargs=-1, required=True, metavar="HOST...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def fleet_command(report: Report, hosts: tuple[str, ...], as_json: bool) -> None:
    """Show the on-demand services of many hosts in one table, asked over ssh."""
    from ondemand_pkg.fleet import asking, overview

    answers = []
    for answer in asking.ask(hosts):
        answers.append(answer)
        report.progress(f"{len(answers)} of {len(set(hosts))} hosts have answered")
    report.progress("")
    if as_json:
        report.text(overview.as_json(answers) + "\n")
    for line in () if as_json else overview.lines(answers, time.time()):
        report.result(line)
    for answer in answers:
        if answer.fault:
            report.fault(f"{answer.host}: {answer.fault}")
    report.note(overview.summary(answers))
    if any(answer.fault for answer in answers):
        raise SystemExit(1)
