"""The line that an error names is the line of the key."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from ondemand_pkg.declaration.toml_lines import KeyLines

KEYS = st.lists(st.from_regex(r"[a-z]{1,6}", fullmatch=True), unique=True, min_size=1, max_size=8)
VALUES = st.sampled_from(['1', '"x # = ["', "'''\n[no.header]\nkey = 1\n'''", '[\n  1, # a\n  2,\n]', '{ a = "}" }',
                          '"""\\\n  x = """', "2020-01-01", "[[1], [2]]"])


@given(KEYS, st.lists(VALUES, min_size=8, max_size=8), st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_keys_are_found_whatever_values_are_between_them(keys: list[str], values: list[str], gaps: bool, end: str) -> None:
    lines, expected = ["# [container.c]", "[container.c]"], {}
    for key, value in zip(keys, values, strict=False):
        if gaps:
            lines += ["", "# note = 1"]
        expected[key] = len(lines) + 1
        lines += f"{key} = {value}".split("\n")
    text = end.join(lines) + end
    assert set(tomllib.loads(text)["container"]["c"]) == set(expected)
    found = KeyLines(text)
    assert {key: found.of("container", "c", key) for key in expected} == expected
    assert found.of("container", "c") == found.of("container", "c", "-") == 2


def test_dotted_and_quoted_keys_and_inline_tables_are_found() -> None:
    found = KeyLines('container.a.image = "x"\ncontainer."b".image = "y"\n[container]\nc = { image = "z" }\n')
    assert [found.of("container", name, "image") for name in "abc"] == [1, 2, 4]
