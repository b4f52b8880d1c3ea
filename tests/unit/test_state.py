"""A change is made to a copy of what a repository holds: where it fails, nothing of it is in the original."""

from __future__ import annotations

from copy import deepcopy

from ondemand_pkg.formats import DEB
from ondemand_pkg.repository.state import Item, State, retire

ITEM = Item("pool/x.deb", DEB, "x", "1", "all", "0", "0", 1, 0, "")


def test_a_change_of_the_copy_is_none_of_the_original() -> None:
    state = State(keys=["A"], public=["A"], items={ITEM.path: ITEM}, suites={"stable": {ITEM.path}}, removed={"y": ("0", 1)},
                  trees={"dists/stable": ["Release"]}, held={"z": 1}, keyring_of={"stable": "0"})
    before, copy = deepcopy(state), state.copy()
    assert copy == state
    copy.keys.append("B")
    copy.public.clear()
    copy.suites["stable"].clear()
    copy.suites["testing"] = set()
    copy.trees["dists/stable"].append("InRelease")
    copy.held.clear()
    copy.keyring_of.clear()
    retire(copy, 1)
    copy.number += 1
    assert state == before and copy != state


def test_what_no_suite_shows_is_removed() -> None:
    state = State(items={ITEM.path: ITEM}, suites={"stable": set()})
    retire(state, 7)
    assert (state.items, state.removed) == ({}, {ITEM.path: (ITEM.identity, 7)})
