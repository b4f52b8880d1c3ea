"""Text as both formats carry it.

Knows which characters end a line or break a field somewhere, and how a paragraph is folded; hides the rules
behind ``check_line`` and ``fold``.
"""

from __future__ import annotations

import unicodedata

# A .deb puts a space before each line; with it a line still fits the 79 columns that lintian and rpmlint grant.
WIDTH = 78
_FORBIDDEN = ("Cc", "Cs", "Zl", "Zp")  # control characters, surrogates, line and paragraph separators


def check_line(value: str, what: str) -> None:
    """Refuse a value that would not stay on one line of a control file or in one C string of a header.

    Raises ValueError, naming ``what`` was refused, for control characters, separators of lines and surrogates.
    """
    for character in () if value.isprintable() else value:
        if unicodedata.category(character) in _FORBIDDEN:
            raise ValueError(f"{what}: U+{ord(character):04X} is not allowed in {value!r}")


def check_field(value: str, what: str) -> None:
    """Refuse what ``check_line`` refuses, an empty value, and spaces around it, which deb822(5) doesn't keep."""
    check_line(value, what)
    if not value or value != value.strip(" "):
        raise ValueError(f"{what}: {value!r} is empty or has spaces around it")


def fold(paragraph: str) -> list[str]:
    """Return a paragraph as lines of at most ``WIDTH`` characters; a longer word stands on a line of its own.

    No line but the first starts with a full stop: deb822 gives such lines a meaning (Policy 5.6.13), so a word
    with one stays with the word before it, and the two may be longer.
    """
    words: list[str] = []
    for word in paragraph.split(" "):
        if word.startswith(".") and words:
            words[-1] += f" {word}"
        elif word:
            words.append(word)
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 1 + len(word) <= WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
