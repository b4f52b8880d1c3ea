"""Everything that explains a declaration says the same: it comes from one table."""

from __future__ import annotations

import dataclasses
import importlib.machinery
import importlib.util
import json
import tomllib
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest
from click.testing import CliRunner

from ondemand_pkg.cli.main import cli
from ondemand_pkg.declaration.adoptions import ADOPT_FIELDS
from ondemand_pkg.declaration.fields import FIELDS
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.declaration.reference import schema
from ondemand_pkg.model import Adopted, Container

TOP = Path(__file__).parents[2]
EXAMPLES = sorted((TOP / "examples").glob("*.toml"))


def tool(name: str) -> ModuleType:
    loader = importlib.machinery.SourceFileLoader(f"tool_{name}", str(TOP / "tools" / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_table_has_a_key_for_each_field_of_a_container() -> None:
    keys = {field.key for field in (*FIELDS, *ADOPT_FIELDS)}
    assert keys == {field.name for of in (Container, Adopted) for field in dataclasses.fields(of)} - {"name", "adopted"}


def test_the_reference_page_and_the_schema_are_those_of_the_table() -> None:
    pages = tool("reference")
    page = (TOP / "docs/declaration.md").read_text()
    assert pages.page(page) == page, "run tools/reference"
    assert pages.rules() == (TOP / "docs/rules.md").read_text(), "run tools/reference"
    assert pages.schema() == (TOP / "docs/ondemand-pkg.schema.json").read_text(), "run tools/reference"


def test_the_page_and_the_diagrams_of_the_states_are_those_of_the_tables_that_run() -> None:
    lives = tool("lives")
    page = (TOP / "docs/states.md").read_text()
    assert lives.page(page) == page, "run make states"
    for side in map(lives.Side, lives.SIDES):
        assert (TOP / f"docs/states-{side.name}.svg").read_text().endswith(side.digest()), "run make states"
        assert {*side.table, *(word for row in side.table.values() for word in row)} <= set(side.meaning)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.key)
def test_the_example_of_each_key_is_valid_and_so_says_the_schema(field: object) -> None:
    assert hasattr(field, "example") and hasattr(field, "value") and hasattr(field, "key")
    written = tomllib.loads(f"x = {field.example}")["x"]
    field.value.parse(written)
    as_json = json.loads(json.dumps(written, default=str))
    jsonschema.validate(as_json, dict(field.value.schema), jsonschema.Draft202012Validator)


@pytest.mark.parametrize("command", ["build", "check", "show", "source"])
def test_help_names_every_key(command: str) -> None:
    text = CliRunner().invoke(cli, [command, "--help"]).stdout
    words = text.replace("*", "").split()
    assert [field.key for field in FIELDS if field.key not in words] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_valid_and_so_says_the_schema(path: Path) -> None:
    assert read([str(path)])
    as_json = json.loads(json.dumps(tomllib.loads(path.read_text()), default=str))
    jsonschema.validate(as_json, schema(), jsonschema.Draft202012Validator)


def test_all_examples_can_live_on_one_host() -> None:
    assert len(read([str(path) for path in EXAMPLES])) >= 6
