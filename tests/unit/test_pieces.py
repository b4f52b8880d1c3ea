"""A large text is compressed in pieces: every reader of .gz and .xz unpacks it."""

from __future__ import annotations

import gzip
import lzma

from hypothesis import given
from hypothesis import strategies as st

from ondemand_pkg.repository.pieces import compress, cut


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_both_forms_unpack_to_the_text(parts: list[bytes]) -> None:
    text = compress(parts, {})
    assert text.plain == b"".join(parts) == gzip.decompress(text.gz) == lzma.decompress(text.xz)


def test_known_pieces_give_the_same_files() -> None:
    parts = [bytes([number]) * 1000 for number in range(20)]
    first = compress(parts, {})
    assert compress(parts, first.pieces) == first


def test_a_new_entry_changes_one_piece() -> None:
    entries = [(f"pool/package{number}", f"Package: package{number}\n\n".encode()) for number in range(2000)]
    pieces, more = cut(entries), cut(sorted([*entries, ("pool/package1000a", b"Package: package1000a\n\n")]))
    assert len(pieces) > 5 and b"".join(pieces) == b"".join(entry for _, entry in entries)
    assert len(set(cut(sorted(entries))) ^ set(more)) <= 3
