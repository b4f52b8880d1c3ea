"""What can be wrong on a host, and how a name that is not there is answered.

Knows that a message says what was found and what to do about it; hides nothing else.
"""

import difflib


class HostError(Exception):
    """An error on the host, or in what was requested; the text is for the user as it is."""


def meant(word: "str", known: "Iterable[str]") -> "str":
    """Return what is added to an error about a word that is not known: the one that was probably meant."""
    close = difflib.get_close_matches(word, sorted(known), 1)
    return "; did you mean {}?".format(repr(close[0])) if close else ""


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable
