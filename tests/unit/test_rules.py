"""What `ondemand-pkg check` finds beside errors, how it is told and how it is silenced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from requirements import need

from ondemand_pkg.cli import cli
from ondemand_pkg.declaration.reader import read_declared
from ondemand_pkg.declaration.rules import RULES
from ondemand_pkg.declaration.secret_names import is_secret
from ondemand_pkg.linting import findings

TOP = Path(__file__).parents[2]
SOUND = """[container.web]
image = "nginx:1.27"
version = "1"
ports = ["80:80"]
memory = "64m"
pin = true
ready = { http = "/" }
"""


def check(*argv: str | Path) -> Result:
    return CliRunner().invoke(cli, ["check", *map(str, argv)])


def found(directory: Path, *texts: str) -> list[tuple[str, str]]:
    """The rules that find something in files of these texts, with FILE:LINE."""
    paths = []
    for number, text in enumerate(texts):
        paths.append(directory / f"{number}.toml")
        paths[-1].write_text(text)
    return [(finding.rule.name,
             f"{Path(finding.path).name}:{finding.line}") for finding in findings(read_declared(map(str, paths)))]


def second(text: str = SOUND) -> str:
    return text.replace("web]", "b]").replace('"80:', '"81:')


ROWS = {
    "moving-tag": [SOUND.replace("nginx:1.27", "nginx").replace("pin = true\n", ""),
                   SOUND.replace("nginx:1.27", "r.example:5000/nginx:latest").replace("pin = true\n", "")],
    "tag-not-pinned": [SOUND.replace("pin = true\n", "")],
    "secret-in-env": [SOUND + 'env = { DB_PASSWORD = "x" }\n', SOUND + 'env = { URL = "postgres://u:p@db/x" }\n',
                      SOUND + 'create_args = ["--env=DB_PASSWORD=x"]\n', SOUND + 'create_args = ["-e", "DB_PASSWORD=x"]\n'],
    "no-memory-limit": [SOUND.replace('memory = "64m"\n', "")],
    "readiness-by-port": [SOUND.replace('ready = { http = "/" }\n', ""), SOUND.replace('{ http = "/" }', '"tcp"')],
    "runs-as-root": [SOUND + 'user = "root"\n', SOUND + 'user = "0:0"\n',
                     SOUND + 'user = "1000"\ncreate_args = ["--user=root"]\n', SOUND + 'create_args = ["-u", "0"]\n'],
    "privileged": [SOUND + 'create_args = ["--privileged"]\n'],
    "engine-socket": [SOUND + 'volumes = ["/var/run/docker.sock:/var/run/docker.sock:ro"]\n',
                      SOUND + 'create_args = ["-v", "/run/docker.sock:/run/docker.sock"]\n',
                      SOUND + 'create_args = ["--mount=type=bind,source=/run/docker.sock,target=/x"]\n'],
}


def test_a_sound_declaration_has_no_finding(tmp_path: Path) -> None:
    assert found(tmp_path, SOUND) == []
    assert found(tmp_path, SOUND.replace('memory = "64m"', 'user = "root"\ncreate_args = ["--memory=64m", "--user=1000"]')) == []


@pytest.mark.parametrize(("rule", "text"), [(rule, text) for rule, texts in ROWS.items() for text in texts])
def test_each_rule_finds_what_it_is_for(tmp_path: Path, rule: str, text: str) -> None:
    assert [name for name, _ in found(tmp_path, text)] == [rule]


@pytest.mark.parametrize("image", ["nginx@sha256:" + "a" * 64, "nginx:latest@sha256:" + "a" * 64])
def test_a_digest_is_a_pin(tmp_path: Path, image: str) -> None:
    assert found(tmp_path, SOUND.replace("nginx:1.27", image).replace("pin = true\n", "")) == []


def test_volumes_that_two_containers_write_to_are_found_across_files(tmp_path: Path) -> None:
    volumes = 'volumes = ["data:/data", "/srv/x:/x"]\n'
    assert found(tmp_path, SOUND + volumes, second() + volumes.replace("/x:/x", "/y:/x")) == [("shared-volume", "1.toml:8")]
    assert found(tmp_path, SOUND + volumes, second() + 'volumes = ["data:/data:ro"]\n') == []


def test_required_containers_that_no_file_declares_are_found_across_files(tmp_path: Path) -> None:
    assert found(tmp_path, SOUND + 'requires = ["b"]\n') == [("requires-unknown", "0.toml:8")]
    assert found(tmp_path, SOUND + 'requires = ["b"]\n', second()) == []


def test_every_rule_has_a_row_here_and_a_page() -> None:
    assert set(RULES) == {*ROWS, "shared-volume", "requires-unknown"}
    assert [name for name in RULES if f"## {name}\n" not in (TOP / "docs/rules.md").read_text()] == []


def test_a_rule_is_silenced_with_a_reason_and_only_where_it_is(tmp_path: Path) -> None:
    silent = 'silence = { privileged = "it manages the hardware" }\n'
    bad = SOUND + 'create_args = ["--privileged"]\n'
    assert found(tmp_path, bad + silent, second(bad)) == [("privileged", "1.toml:8")]
    assert found(tmp_path, f"[package]\n{silent}{bad}") == []
    (tmp_path / "x.toml").write_text(SOUND + 'silence = { privilegd = "x" }\n')
    done = check(tmp_path / "x.toml")
    assert done.exit_code == 1 and "allowed:" in done.stderr and "privileged" in done.stderr
    (tmp_path / "x.toml").write_text(SOUND + 'silence = { privileged = "" }\n')
    assert check(tmp_path / "x.toml").exit_code == 1


@pytest.mark.parametrize(("name", "value", "secret"), [
    ("DB_PASSWORD", "x", True), ("MYSQL_ROOT_PASSWD", "x", True), ("API_KEY", "x", True), ("SECRET_KEY", "x", True),
    ("TOKEN", "x", True),
    ("adminPassword", "x", True), ("DATABASE_URL", "mysql://u:p@h/d", True), ("AWS_SECRET_ACCESS_KEY", "x", True),
    ("DB_PASSWORD_FILE", "x", False), ("DB_PASSWORD", "/run/secrets/x", False), ("ALLOW_EMPTY_PASSWORD", "yes", False),
    ("KEYBOARD", "de", False), ("URL", "http://h/", False), ("DB_PASSWORD", "", False), ("COMPASS", "n", False),
    ("MONKEY", "x", False),
    ("PASSENGER_COUNT", "3", False), ("TOKENIZER_PATH", "x", False),
])
def test_secrets_are_told_by_their_names_and_urls(name: str, value: str, secret: bool) -> None:
    assert is_secret(name, value) is secret


@pytest.fixture
def doubtful(tmp_path: Path) -> Path:
    path = tmp_path / "a,b.toml"
    path.write_text(SOUND.replace('memory = "64m"\n', "") + 'user = "root"\n')
    return path


def test_warnings_are_told_and_notes_only_where_more_is_asked_for(doubtful: Path) -> None:
    done = check(doubtful)
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == (
        f'warning: {doubtful}:7: container.web.user: it runs as "root", whatever user its image has; leave the key out, or name '
        "another user [runs-as-root]\n1 container: no error, 1 warning\n")
    assert "note: " in check("--verbose", doubtful).stderr and check("--quiet", doubtful).stderr == ""


def test_strict_lets_a_warning_end_with_1_but_no_note(doubtful: Path, tmp_path: Path) -> None:
    assert check("--strict", doubtful).exit_code == 1
    (tmp_path / "x.toml").write_text(SOUND.replace('memory = "64m"\n', ""))
    assert check("--strict", tmp_path / "x.toml").exit_code == 0


def test_json_tells_errors_and_findings_to_programs(doubtful: Path, tmp_path: Path) -> None:
    rows = json.loads(check("--format", "json", doubtful).stdout)
    assert [(row["severity"], row["rule"], row["key"], row["line"]) for row in rows] == [
        ("note", "no-memory-limit", "container.web.memory", 1), ("warning", "runs-as-root", "container.web.user", 7)]
    (tmp_path / "x.toml").write_text("[container.a]\n")
    done = check("--format", "json", tmp_path / "x.toml")
    assert done.exit_code == 1 and {(row["severity"], row["rule"]) for row in json.loads(done.stdout)} == {("error", None)}


def test_github_gets_workflow_commands(doubtful: Path, tmp_path: Path) -> None:
    lines = check("--format", "github", doubtful).stdout.splitlines()
    place = str(doubtful).replace(",", "%2C")
    assert lines[0].startswith(f"::notice file={place},line=1,title=no-memory-limit::nothing limits")
    assert lines[1].startswith(f"::warning file={place},line=7,title=runs-as-root::it runs as")
    (tmp_path / "x.toml").write_text('[container.a]\nimage = "%\\n"\n')
    done = check("--format", "github", tmp_path / "x.toml")
    assert done.exit_code == 1 and done.stdout.startswith("::error file=") and "%25" in done.stdout


def test_units_are_verified_where_that_is_asked_for(tmp_path: Path) -> None:
    need("systemd-analyze")
    (tmp_path / "x.toml").write_text(SOUND)
    assert check("--units", tmp_path / "x.toml").exit_code == 0


def test_a_host_without_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.toml").write_text(SOUND)
    monkeypatch.setenv("PATH", str(tmp_path))
    done = check("--units", tmp_path / "x.toml")
    assert done.exit_code == 1 and "systemd-analyze is not installed; leave --units out" in done.stderr


def test_the_hook_for_pre_commit_calls_what_there_is(doubtful: Path) -> None:
    (hook,) = yaml.safe_load((TOP / ".pre-commit-hooks.yaml").read_text())
    program, *argv = hook["entry"].split()
    assert (program, hook["language"], hook["types"], hook["require_serial"]) == ("ondemand-pkg", "python", ["toml"], True)
    assert CliRunner().invoke(cli, [*argv, str(doubtful)]).exit_code == 1


def test_no_example_has_a_warning() -> None:
    done = check("--strict", *sorted((TOP / "examples").glob("*.toml")))
    assert done.exit_code == 0, done.stderr
