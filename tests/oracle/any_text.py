"""Texts for the properties: whatever a line of a declaration may hold."""

from __future__ import annotations

import re

from hypothesis import strategies as st

PRINTABLE = st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp"))
LINE = st.text(PRINTABLE, min_size=1, max_size=60).map(lambda text: text.strip(" ")).filter(bool)
LINES = st.lists(LINE, min_size=1, max_size=3)
PARAGRAPHS = st.lists(st.text(PRINTABLE, max_size=300).map(lambda text: text.strip(" ")).filter(bool),
                      min_size=1, max_size=3)


def words(text: str) -> list[str]:
    """The words of a text: folding may change which white space is between them, and nothing else."""
    return [word for word in re.split("[ \n]+", text) if word]
