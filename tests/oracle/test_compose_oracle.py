"""Files of variables are read as docker-compose reads them: `docker-compose config` is asked, which needs no engine.

Its first release line, which Debian 12 has, leaves `$NAME` without braces and `$$` in such files alone, and replaces variables in
single quotes; the second, which the specification follows, does the contrary.  None of it is in the examples.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from requirements import need

from ondemand_pkg.importing import origins

HEAD = "version: '3'\nservices:\n  web:\n    image: web:1\n    expose: [80]\n"
EXAMPLES = {
    "plain": "A=1\nB = spaced \nexport C=x\nD=\nE=a=b\n", "comments": "# c\nA=x #c\nB=x#c\n  # d\n\nC='#' # e\n",
    "single quotes": "A='$X # \\n'\nB='it\\'s'\nC='two\nlines'\n",
    "double quotes": 'A="a\\nb\\tc"\nB="say \\"hi\\""\nC="two\nlines"\nD="back\\\\slash"\nE="#"\n',
    "variables": "A=1\nB=${A}-${NONE:-d}\nC=\"${A}\"\nE=${OUTSIDE}\n", "line ends": "A=1\r\nB='x'\r\n",
    "names": "a_b=1\nA9=2\nBARE\nOUTSIDE\n", "unicode": "A=größe\nB='東京'\n", "no end": "A=1\nB=2",
}


def both(directory: Path, text: str, more: str = "") -> tuple[dict[str, str], dict[str, str]]:
    """Return the environment that each makes of a file of variables; a name without a value is left out."""
    need("docker-compose")
    (directory / "a.env").write_bytes(text.encode())
    file = directory / "compose.yaml"
    file.write_text(f"{HEAD}    env_file: a.env\n{more}")
    environ = {"PATH": os.environ["PATH"], "HOME": str(directory), "OUTSIDE": "outside", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(["docker-compose", "--file", str(file), "config"], capture_output=True, text=True, check=True,
                          cwd=directory, env=environ)
    found = yaml.safe_load(done.stdout)["services"]["web"].get("environment") or {}
    drafts, _ = origins.read(str(file), environ)
    return ({name: str(value).replace("$$", "$") for name, value in found.items() if value is not None},
            drafts[0].values.get("env", {}))


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_env_file_is_read_alike(name: str, tmp_path: Path) -> None:
    by_compose, by_import = both(tmp_path, EXAMPLES[name])
    assert by_import == by_compose


def test_environment_wins_alike(tmp_path: Path) -> None:
    by_compose, by_import = both(tmp_path, "A=file\nB=file\n", "    environment: [A=own, OUTSIDE]\n")
    assert by_import == by_compose == {"A": "own", "B": "file", "OUTSIDE": "outside"}


def test_paths_of_an_extended_file_lead_from_there_alike(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/b.env").write_text("B=base\n")
    (tmp_path / "base/base.yaml").write_text(
        "version: '3'\nservices: {base: {image: 'x:1', env_file: b.env, volumes: ['./d:/d', '../u:/u']}}\n")
    by_compose, by_import = both(tmp_path, "A=1\n", "    extends: {file: base/base.yaml, service: base}\n")
    assert by_import == by_compose == {"A": "1", "B": "base"}
    shown = subprocess.run(["docker-compose", "--file", str(tmp_path / "compose.yaml"), "config"], capture_output=True, text=True,
                           check=True, cwd=tmp_path).stdout
    sources = {str(volume).partition(":")[0] if isinstance(volume, str) else volume["source"]
               for volume in yaml.safe_load(shown)["services"]["web"]["volumes"]}
    drafts, _ = origins.read(str(tmp_path / "compose.yaml"), {})
    assert sources == {f"{tmp_path}/base/d", f"{tmp_path}/u"}
    assert {volume.partition(":")[0] for volume in drafts[0].values["volumes"]} == sources


VALUES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zs", "Zl", "Zp"), exclude_characters="$'\"\\`"),
                 max_size=8)
FORMS = st.sampled_from(["{}", "'{}'", '"{}"', "'{}\n{}'"])


@settings(max_examples=8, deadline=None)
@given(values=st.dictionaries(st.from_regex(r"V[A-Z_]{1,8}", fullmatch=True), st.tuples(FORMS, VALUES), max_size=8))
def test_values_are_read_alike(values: dict[str, tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    text = "".join(f"{name}={form.format(value, value)}\n" for name, (form, value) in values.items())
    by_compose, by_import = both(tmp_path_factory.mktemp("any"), text)
    assert by_import == by_compose
