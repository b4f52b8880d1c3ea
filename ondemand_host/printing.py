"""What the commands print.

Knows that results go to standard output and the rest to standard error, and that nothing that others wrote steers the terminal;
hides colours and a reader that has gone.
"""

import os
import sys

from ondemand_host.visible import visible

_COLOURS = {"red": 31, "green": 32, "yellow": 33, "cyan": 36}


class Printer:
    """Where one call of a command prints to."""

    def __init__(self, quiet: "bool" = False) -> None:
        self._quiet = quiet
        self.has_colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

    def line(self, text: "str") -> None:
        """Print a line of the results."""
        self._write(visible(text) + "\n")

    def laid_out(self, text: "str") -> None:
        """Print lines that are laid out already and in which what others wrote is visible."""
        self._write(text + "\n")

    def note(self, text: "str") -> None:
        """Print what --quiet leaves out, to standard error."""
        if not self._quiet:
            sys.stderr.write(visible(text) + "\n")

    def fault(self, text: "str") -> None:
        """Print an error."""
        sys.stdout.flush()
        word = "\x1b[31m\x1b[1merror:\x1b[0m" if sys.stderr.isatty() and "NO_COLOR" not in os.environ else "error:"
        sys.stderr.write("{} {}\n".format(word, visible(text)))

    def paint(self, text: "str", colour: "str" = "", bold: "bool" = False) -> "str":
        """Return a text as a terminal shows it in a colour, or bold; as it is where nobody would see it."""
        if not self.has_colours or not (colour or bold):
            return text
        return "\x1b[{}m{}\x1b[0m".format(_COLOURS[colour] if colour else 1, text)

    @staticmethod
    def _write(text: "str") -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def give_up_output() -> None:
    """Have the rest of standard output, which can't be written, go nowhere: Python would try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
