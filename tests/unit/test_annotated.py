"""The annotated declaration of the book has every key, and nothing in it is objected to."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from click.testing import CliRunner

from ondemand_pkg.cli.main import cli
from ondemand_pkg.declaration.adoptions import ADOPT_FIELDS
from ondemand_pkg.declaration.fields import BY_KEY, STACK_FIELDS

PAGE = (Path(__file__).parents[2] / "docs/annotated.md").read_text(encoding="utf-8")
(TEXT,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_it_has_every_key() -> None:
    tables = tomllib.loads(TEXT)
    of_all = set(tables["package"])
    found = {kind: of_all.union(*(set(table) for table in tables[kind].values())) for kind in ("container", "adopt", "stack")}
    in_comments = {"outbound", "replicas", "node"}  # for engines that this declaration has not
    assert set(BY_KEY) - found["container"] - found["adopt"] == in_comments
    assert all(re.search(f"^# {key} *= ", TEXT, re.MULTILINE) for key in in_comments)
    # What only these have; the rest is a container's too.
    own = {"adopt": {"unit", "container", "compose", "service"}, "stack": {"members"}}
    assert {kind: {field.key for field in fields} - set(BY_KEY) for kind, fields in (
        ("adopt", ADOPT_FIELDS), ("stack", STACK_FIELDS))} == own
    assert all(own[kind] <= found[kind] for kind in own)


def test_check_finds_nothing_in_it_and_it_is_built(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(TEXT)
    checked = CliRunner().invoke(cli, ["check", str(tmp_path / "site.toml")])
    assert (checked.exit_code, "warning" in checked.stderr) == (0, False), checked.output
    built = CliRunner().invoke(cli, ["build", str(tmp_path / "site.toml"), "-o", str(tmp_path / "dist")])
    assert built.exit_code == 0 and len(built.stdout.splitlines()) == 2 * (10 + 3 + 1)


def test_each_key_is_explained_where_that_is_not_said_by_its_name() -> None:
    lines = [line for line in TEXT.splitlines() if " = " in line and not line.startswith("#")]
    assert sum("#" in line for line in lines) > len(lines) / 3
