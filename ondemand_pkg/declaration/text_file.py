"""Text files that people give, read with a limit.

Knows what a file may be for no command to take more memory than it needs; hides encodings and the operating system's errors.
"""

from __future__ import annotations

from collections.abc import Callable

from ondemand_pkg import regular_file
from ondemand_pkg.errors import DeclarationError, Fault

UNREADABLE = "can't be read: "


def read(path: str, largest: int, unreadable: Callable[[int], str], too_large: str,
         accept: Callable[[bytes], None] = lambda raw: None) -> str:
    """Return the text of a file of at most ``largest`` bytes (a multiple of a MiB).

    ``unreadable`` returns the remedy for a number of the operating system's errors (errno), ``too_large`` is the one for a file
    that is.  ``accept`` raises what is to be said of a file that its first bytes show to be something else.  Raises
    DeclarationError.
    """
    try:
        with regular_file.opened(path) as stream:
            raw = stream.read(largest + 1)
    except OSError as error:
        raise DeclarationError([Fault(path, 0, "", f"{UNREADABLE}{error.strerror}", unreadable(error.errno or 0))]) from None
    accept(raw)
    if len(raw) > largest:
        raise DeclarationError([Fault(path, 0, "", f"larger than {largest >> 20} MiB", too_large)])
    try:
        return raw.decode("utf-8-sig")  # some editors put a mark of three bytes before the text
    except UnicodeDecodeError as error:
        raise DeclarationError([Fault(path, raw[:error.start].count(b"\n") + 1, "", "not UTF-8",
                                      "save the file as UTF-8")]) from None
