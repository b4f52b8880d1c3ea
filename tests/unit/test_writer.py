"""A declaration that is written is read as what it was."""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondemand_pkg.declaration import writer
from ondemand_pkg.declaration.fields import FIELDS
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.declaration.writer import Table
from ondemand_pkg.model import Container

TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=30)
VALUES = st.recursive(
    TEXT | st.booleans() | st.integers(-2**63, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=10)


@given(name=TEXT, values=st.dictionaries(TEXT, VALUES, max_size=4), remark=TEXT, head=TEXT)
def test_any_value_under_any_key_is_read_as_it_was_written(name: str, values: dict[str, Any], remark: str, head: str) -> None:
    text = writer.declaration([Table(name, values, [remark], dict.fromkeys([*values, "absent"], [remark]))], [head])
    assert tomllib.loads(text) == {"container": {name: values}}


@settings(deadline=None)
@given(env=st.dictionaries(st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), blacklist_characters="="),
                                   min_size=1), TEXT.filter(lambda text: "\0" not in text)),
       command=st.lists(TEXT.filter(lambda text: "\0" not in text)))
def test_the_reader_takes_what_was_written(env: dict[str, str], command: list[str]) -> None:
    values = {"image": "a", "version": "1", "ports": ["80:80"], "env": env, "command": command}
    assert read_back(values) == Container("web", "a", "1", read_back(values).ports, env=env, command=tuple(command))


def read_back(values: dict[str, Any]) -> Container:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "x.toml"
        path.write_text(writer.declaration([Table("web", values)]), encoding="utf-8")
        return read([str(path)])[0]


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.key)
def test_every_key_can_be_written(field: Any) -> None:
    example = tomllib.loads(f"x = {field.example}")["x"]
    assert tomllib.loads(writer.declaration([Table("a", {field.key: example})])) == {"container": {"a": {field.key: example}}}


def test_a_long_array_has_a_line_for_each_element() -> None:
    text = writer.declaration([Table("a", {"command": ["x" * 50] * 3})])
    assert text.count("\n") == 6 and tomllib.loads(text)["container"]["a"]["command"] == ["x" * 50] * 3


def test_what_is_not_seen_is_written_as_an_escape_and_never_in_a_comment() -> None:
    text = writer.declaration([Table("a", {"x": "\u202e\x00"}, ["\u202e\r[evil]\x00"])], ["one\ntwo"])
    assert text == '# one\n# two\n\n# ??[evil]?\n[container.a]\nx = "\\u202E\\u0000"\n'


def test_what_no_toml_file_can_hold_is_refused() -> None:
    for item in ("\ud800", None, b""):
        with pytest.raises(ValueError, match="is not allowed|does not have"):
            writer.value(item)
