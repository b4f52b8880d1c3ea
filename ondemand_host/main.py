"""The command line of `ondemand`.

Knows each command's options, exit statuses, and what a shell completes; hides argparse.  `ondemand-pkg` passes these commands on.
"""

import argparse
import os
import shutil
import socket
import sys
import time
from typing import Callable, List, NamedTuple, Optional, Sequence

from ondemand_host import __version__, doctor, lives, logs, report, services, table, unused
from ondemand_host.errors import HostError, meant
from ondemand_host.places import chosen, installed, stacks
from ondemand_host.printing import Printer, give_up_output

INTERVAL = 2.0  # seconds between two tables of `status --watch`
INTERRUPTED = 130  # what shells return after Ctrl-C
_ABOUT = "Manage the on-demand services of this host: containers that start at the first connection."
_CLEAR = "\x1b[H\x1b[J"


class Command(NamedTuple):
    """One command: what its help says, which options it has, and what it does with them; it returns the exit status."""

    name: "str"
    help: "str"
    add_options: "Callable[[argparse.ArgumentParser], None]"
    run: "Callable[[argparse.Namespace, Printer], int]"


class _Parser(argparse.ArgumentParser):
    """One whose errors are printed as all others."""

    def error(self, message: "str") -> "NoReturn":
        self.print_usage(sys.stderr)
        Printer().fault(message)
        sys.exit(2)


def parser_of(command: "Command", program: "str") -> "argparse.ArgumentParser":
    """Return the parser of one command's options."""
    parser = _Parser("{} {}".format(program, command.name), description=command.help)
    command.add_options(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="print only results and errors")
    parser.add_argument("-v", "--verbose", action="store_true", help="print more")
    return parser


def main(argv: "Optional[Sequence[str]]" = None, program: "str" = "ondemand") -> "int":
    """Run the command line; return the exit status: 0 done, 1 error on the host, 2 usage error."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        sys.stdout.write(_overview(program))
        return 0 if words else 2
    if words[0] == "--version":
        sys.stdout.write("{}, version {}\n".format(program, __version__))
        return 0
    if words[0] == "complete":
        sys.stdout.write("".join(word + "\n" for word in completions(words[1:])))
        return 0
    if words[0] not in COMMANDS:
        Printer().fault("there is no command {}{}; see '{} --help'".format(repr(words[0]), meant(words[0], COMMANDS), program))
        return 2
    return _run(COMMANDS[words[0]], words[1:], program)


def _run(command: "Command", words: "List[str]", program: "str") -> "int":
    try:
        options = parser_of(command, program).parse_args(words)
    except SystemExit as end:  # the help, or an error that argparse has told
        return int(end.code or 0)
    printer = Printer(options.quiet)
    try:
        return command.run(options, printer)
    except HostError as error:
        printer.fault(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        give_up_output()
    except OSError as error:
        if error.filename is not None:
            printer.fault("{}: {}".format(error.filename, error.strerror))
        else:
            give_up_output()
            printer.fault("standard output: {}; the output is incomplete".format(error.strerror))
    return 1


def _overview(program: "str") -> "str":
    width = max(map(len, COMMANDS))
    commands = "".join("  {}  {}\n".format(name.ljust(width), command.help) for name, command in COMMANDS.items())
    return ("Usage: {0} COMMAND [OPTIONS] [NAME]...\n\n{1}\n\nCommands:\n{2}\n"
            "'{0} COMMAND --help' shows the options of a command; --version shows the version.\n").format(
                program, _ABOUT, commands)


def completions(words: "Sequence[str]") -> "List[str]":
    """Return what the last word of a command line, given without the program, may become."""
    *before, last = words or [""]
    if not before:
        candidates = list(COMMANDS)
    elif before[0] not in COMMANDS:
        candidates = []
    elif before[0] in ("report", "survey") and not last.startswith("-"):
        candidates = []
    elif last.startswith("-"):
        actions = parser_of(COMMANDS[before[0]], "ondemand")._actions
        candidates = [option for action in actions for option in action.option_strings if option.startswith("--")]
    else:
        candidates = sorted({*installed(), *stacks()} - set(before[1:]))
    return [candidate for candidate in candidates if candidate.startswith(last)]


def _names(parser: "argparse.ArgumentParser", is_required: "bool") -> "None":
    parser.add_argument("names", nargs="+" if is_required else "*", metavar="NAME",
                        help="a service, by its declared name or its package's" + ("" if is_required else "; default: all"))


def _status_options(parser: "argparse.ArgumentParser") -> "None":
    _names(parser, is_required=False)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print one JSON object, for programs")
    how.add_argument("-w", "--watch", action="store_true", help="show the table every {:g} s, until Ctrl-C".format(INTERVAL))


def _status(options: "argparse.Namespace", printer: "Printer") -> "int":
    found = services.survey(options.names)
    if options.json:
        printer.laid_out(table.as_json(found))
        return 0
    remedies = table.not_readable(found)
    if not (found.services or found.applications):
        remedies.append("no on-demand service is installed on this host")
    is_screen = options.watch and sys.stdout.isatty()
    while True:
        width = shutil.get_terminal_size((80, 24)).columns
        lines = list(table.lines(found, time.time(), width, bool(options.names) or options.verbose, printer.paint))
        if lines or is_screen:
            printer.laid_out((_CLEAR if is_screen else "") + "\n".join(lines))
        for remedy in remedies:
            printer.note(remedy)
        if not options.watch:
            return 0
        try:
            time.sleep(INTERVAL)
        except KeyboardInterrupt:
            return 0
        if not is_screen:
            printer.line("")
        found, remedies = services.survey(options.names), []


def _doctor_options(parser: "argparse.ArgumentParser") -> "None":
    _names(parser, is_required=False)
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")


def _doctor(options: "argparse.Namespace", printer: "Printer") -> "int":
    examined = doctor.examine(options.names)
    if options.json:
        printer.laid_out(doctor.as_json(examined))
    else:
        for line in doctor.lines(examined, shutil.get_terminal_size((100, 24)).columns, printer.paint):
            printer.laid_out(line)
    for remark in doctor.not_seen():
        printer.note(remark)
    return 1 if any(one.troubles for one in examined) else 0


def _wake_options(parser: "argparse.ArgumentParser") -> "None":
    _names(parser, is_required=True)


def _wake(options: "argparse.Namespace", printer: "Printer") -> "int":
    lives.require_root()
    return _outcomes(lives.wake(chosen(options.names).packages), printer)


def _sleep_options(parser: "argparse.ArgumentParser") -> "None":
    _names(parser, is_required=True)
    parser.add_argument("--force", action="store_true", help="even if connections are open, which are cut")


def _sleep(options: "argparse.Namespace", printer: "Printer") -> "int":
    lives.require_root()
    return _outcomes(lives.sleep(chosen(options.names).packages, options.force), printer)


def _outcomes(outcomes: "Iterator[lives.Outcome]", printer: "Printer") -> "int":
    """Print what is done, and as an error what is not; return the exit status."""
    status = 0
    for outcome in outcomes:
        if outcome.is_done:
            printer.line(outcome.text)
        else:
            printer.fault(outcome.text)
            status = 1
    return status


def _logs_options(parser: "argparse.ArgumentParser") -> "None":
    _names(parser, is_required=True)
    parser.add_argument("-f", "--follow", action="store_true", help="go on with new lines, until Ctrl-C")
    parser.add_argument("-n", "--lines", default="100", metavar="N|all", help="how many of the last lines (default: 100)")
    parser.add_argument("-S", "--since", metavar="TIME", help="only from this time on, as journalctl(1) reads it")


def _logs(options: "argparse.Namespace", printer: "Printer") -> "int":
    if options.lines != "all" and not options.lines.isdigit():
        printer.fault("--lines: {} is not a number; allowed: a number, or all".format(repr(options.lines)))
        return 2
    argv = logs.command(chosen(options.names).packages, options.lines, options.since, options.follow)
    sys.stdout.flush()
    try:
        os.execvp(argv[0], argv)
    except FileNotFoundError:
        raise HostError("journalctl is not installed; install systemd") from None


def _report_options(parser: "argparse.ArgumentParser") -> "None":
    parser.add_argument("-S", "--since", metavar="TIME", default=report.DEFAULT_SINCE,
                        help="only from this time on, as journalctl(1) reads it (default: %(default)s)")
    parser.add_argument("-o", "--output", metavar="FILE.html", help="write a page with plots, which needs no server")


def _report(options: "argparse.Namespace", printer: "Printer") -> "int":
    found = report.report(options.since)
    if options.output is None:
        for line in report.lines(found, printer.paint):
            printer.laid_out(line)
        return 0
    from ondemand_host import report_page  # nothing else draws

    with open(options.output, "w", encoding="utf-8") as stream:
        stream.write(report_page.page(found, socket.gethostname()))
    printer.line(options.output)
    return 0


def _survey_options(parser: "argparse.ArgumentParser") -> "None":
    parser.add_argument("--for", dest="span", metavar="TIME", default="10min",
                        help="how long to look, as systemd.time(7) writes it; Ctrl-C ends it earlier (default: %(default)s)")


def _survey(options: "argparse.Namespace", printer: "Printer") -> "int":
    seconds, chosen_ones = unused.seconds_of(options.span), unused.candidates()
    if not chosen_ones.containers:
        printer.note("no container runs here that could be looked at")
    else:
        printer.note("looking at {} for {}; Ctrl-C ends it earlier".format(
            ", ".join(one.name for one in chosen_ones.containers), table.span(seconds)))
    findings = unused.watch(chosen_ones, seconds if chosen_ones.containers else 0)
    for line in unused.lines(findings, printer.paint):
        printer.laid_out(line)
    status = 0
    for one in findings.unused:
        name = one.container.name
        try:
            text = unused.declaration(name)
        except HostError as error:
            printer.fault(str(error))
            status = 1
            continue
        if text is None:
            printer.note("{} would be declared by 'ondemand-pkg import --container {}'; ondemand-pkg is not installed "
                         "here".format(name, name))
        else:
            printer.line("")
            for line in text.splitlines():
                printer.line(line)
    return status


COMMANDS = {command.name: command for command in (
    Command("status", "Show on-demand services: state, connections, recent wakes. Name services for details.", _status_options,
            _status),
    Command("doctor", "Say what is wrong with on-demand services, or would go wrong at the next wake, and the remedy.",
            _doctor_options, _doctor),
    Command("wake", "Wake on-demand services without a client, and wait until they are ready.", _wake_options, _wake),
    Command("sleep", "Put on-demand services to sleep, as a time without traffic does.", _sleep_options, _sleep),
    Command("logs", "Show the output of a service's container and the service's own messages together.", _logs_options, _logs),
    Command("report", "Show when services were awake, who woke them, how long wakes took, what memory sleep gave back.",
            _report_options, _report),
    Command("survey", "Show which running containers nobody uses, what they cost, and what would make them on-demand.",
            _survey_options, _survey),
)}

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, NoReturn
