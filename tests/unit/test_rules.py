"""What `ondemand-pkg check` finds beside errors, how it is told and how it is silenced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from requirements import need

from ondemand_pkg.checking.findings import findings
from ondemand_pkg.cli.main import cli
from ondemand_pkg.declaration.reader import read_declared
from ondemand_pkg.declaration.rules import RULES
from ondemand_pkg.declaration.secret_names import is_secret

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
    "literal-variable": [SOUND + 'env = { A = "${HOME}/x" }\n', SOUND + 'env = { A = "$HOME" }\n',
                         SOUND + 'create_args = ["--env=A=${B:-c}"]\n'],
    "no-memory-limit": [SOUND.replace('memory = "64m"\n', "")],
    "stays-on-relay": [SOUND + 'path = "kernel"\n', SOUND + 'path = "kernel"\nproxy_protocol = "v1"\n',
                       SOUND.replace('"80:80"', '"80:80", "53:53/udp", "/run/x.sock:80"') + 'path = "kernel"\n'],
    "speaks-first": [SOUND.replace("80:80", "22:22") + 'wake_on = "data"\n'],
    "proxy-under-selinux": [SOUND + 'proxy = "systemd-socket-proxyd"\n'],
    "readiness-by-port": [SOUND.replace('ready = { http = "/" }\n', ""), SOUND.replace('{ http = "/" }', '"tcp"')],
    "runs-as-root": [SOUND + 'user = "root"\n', SOUND + 'user = "0:0"\n',
                     SOUND + 'user = "1000"\ncreate_args = ["--user=root"]\n', SOUND + 'create_args = ["-u", "0"]\n'],
    "own-socket": [SOUND + 'create_args = ["--network=host"]\n', SOUND + 'create_args = ["--net", "host"]\n',
                   SOUND + 'create_args = ["--network", "name=host,alias=x"]\n',
                   SOUND.replace("80:80", "[::]:80:80") + 'create_args = ["--network=host"]\n',
                   SOUND.replace('"80:80"', '"80:8080", "8080:81"') + 'create_args = ["--network=host"]\n',
                   SOUND.replace('"80:80"', '"127.0.0.1:80:80", "[::1]:80:81"') + 'create_args = ["--network=host"]\n'],
    "privileged": [SOUND + 'create_args = ["--privileged"]\n'],
    "engine-socket": [SOUND + 'volumes = ["/var/run/docker.sock:/var/run/docker.sock:ro"]\n',
                      SOUND + 'create_args = ["-v", "/run/docker.sock:/run/docker.sock"]\n',
                      SOUND + 'create_args = ["--mount=type=bind,source=/run/docker.sock,target=/x"]\n'],
}

REDIS = SOUND + 'command = ["redis-server", "--requirepass", "hunter2hunter2"]\n'
ROWS |= {
    "secret-in-arguments": [
        REDIS, SOUND + 'entrypoint = ["/x", "--db-password=y"]\n', SOUND + 'labels = { "a.password" = "x" }\n',
        SOUND + 'create_args = ["--health-cmd=redis-cli -a hunter2 ping"]\n', SOUND + 'create_args = ["-l", "TOKEN=x"]\n',
        SOUND.replace('{ http = "/" }', '{ exec = ["sh", "-c", "mysqladmin -phunter2 ping"] }'),
        SOUND + 'command = ["serve", "--db", "postgres://u:p@db/x"]\n',
        SOUND + 'command = ["sh", "-c", "PASSWORD=x exec serve"]\n'],
    "newer-option": [SOUND + 'create_args = ["--annotation=a=b"]\n',
                     SOUND + 'engine = "docker"\ncreate_args = ["--health-start-interval", "1s"]\n'],
    "one-engine": [SOUND + 'create_args = ["--sdnotify=ignore"]\n', SOUND + 'create_args = ["--isolation=default"]\n'],
}


@pytest.mark.parametrize("command", [
    '["redis-server", "--requirepass", "$PASSWORD"]', '["x", "--password-file=/run/x"]', '["x", "--password", "--verbose"]',
    '["x", "--token=/run/secrets/token"]', '["sh", "-c", "PASSWORD=$(cat /x) serve"]', '["tar", "-a", "x"]',
    '["sh", "-c", "it\'s"]'])
def test_a_variable_or_a_file_in_a_command_is_no_secret(tmp_path: Path, command: str) -> None:
    assert found(tmp_path, SOUND + f"command = {command}\n") == []


def test_a_secret_in_arguments_is_reported_at_its_key(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(REDIS)
    assert f"{tmp_path}/x.toml:8: container.web.command: the value of --requirepass" in check(tmp_path / "x.toml").stderr


def test_a_sound_declaration_has_no_finding(tmp_path: Path) -> None:
    assert found(tmp_path, SOUND) == []
    assert found(tmp_path, SOUND.replace('memory = "64m"', 'user = "root"\ncreate_args = ["--memory=64m", "--user=1000"]')) == []
    assert found(tmp_path, SOUND + 'env = { PRICE = "$5", HASH = "$2y$10$abc", WORD = "pa$WORD" }\n') == []


@pytest.mark.parametrize(("rule", "text"), [(rule, text) for rule, texts in ROWS.items() for text in texts])
def test_each_rule_finds_what_it_is_for(tmp_path: Path, rule: str, text: str) -> None:
    assert [name for name, _ in found(tmp_path, text)] == [rule]


@pytest.mark.parametrize("ports", ['"8080:80"', '"192.0.2.1:80:80"', '"127.0.0.1:80:80"', '"/run/web.sock:80"'])
def test_the_hosts_network_is_no_error_where_the_container_can_listen(tmp_path: Path, ports: str) -> None:
    assert found(tmp_path, SOUND.replace('"80:80"', ports) + 'create_args = ["--network=host"]\n') == []


def test_an_error_of_the_rules_makes_check_fail_and_cannot_be_silenced(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(SOUND + 'create_args = ["--network=host"]\n')
    done = check(path)
    assert done.exit_code == 1 and "no error" not in done.stderr
    assert f'error: {path}:8: container.web.create_args: with the host\'s network, port 80 ("80:80") of the container is where ' \
        "systemd listens; listen on another port" in done.stderr and "[own-socket]" in done.stderr
    assert check("--quiet", path).exit_code == 1 and "[own-socket]" in check("--quiet", path).stderr
    (row,) = json.loads(check("--format=json", path).stdout)
    assert (row["severity"], row["rule"], row["line"]) == ("error", "own-socket", 8)
    assert check("--format=github", path).stdout.startswith(f"::error file={path},line=8,title=own-socket::")
    path.write_text(SOUND + 'create_args = ["--network=host"]\nsilence = { own-socket = "x" }\n')
    assert "own-socket" in (done := check(path)).stderr and "moving-tag" in done.stderr and done.exit_code == 1


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


@pytest.mark.parametrize(("name", "misspelt"), [("bd", True), ("dbb", False), ("data", True), ("daatbase", True),
                                               ("database1", False), ("queue", False)])
def test_a_required_name_that_one_letter_parts_from_a_declared_one_is_a_warning(tmp_path: Path, name: str,
                                                                               misspelt: bool) -> None:
    rule = "requires-misspelt" if misspelt else "requires-unknown"
    others = [second().replace("b]", f"{known}]").replace('"81:', f'"8{index}:')
              for index, known in enumerate(("db", "dta", "database"), 1)]
    assert found(tmp_path, SOUND + f'requires = ["{name}"]\n', *others) == [(rule, "0.toml:8")]


def test_a_required_container_that_only_this_host_reaches_is_found(tmp_path: Path) -> None:
    web, lonely = SOUND + 'requires = ["b"]\n', second().replace('"81:', '"127.0.0.1:81:')
    assert found(tmp_path, web, lonely) == [("required-unreachable", "0.toml:8")]
    assert found(tmp_path, web, lonely.replace('["127.0.0.1:81:80"]', '["[::1]:81:80", "/run/b.sock:80"]')) == []
    assert found(tmp_path, web, lonely.replace('["127.0.0.1:81:80"]', '["[::1]:81:80", "172.17.0.1:81:80"]')) == []
    assert found(tmp_path, web + 'create_args = ["--network=mine"]\n', lonely) == []


def test_every_rule_has_a_row_here_and_a_page() -> None:
    assert set(RULES) == {*ROWS, "shared-volume", "links-unknown", "requires-unknown", "requires-misspelt",
                          "service-unknown", "required-unreachable"}
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
        f'warning: {doubtful}:7: container.web.user: it runs as "root", overriding the user of its image; leave the key out, or '
        "choose another user [runs-as-root]\n1 container: no error, 1 warning\n")
    assert "note: " in check("--verbose", doubtful).stderr and check("--quiet", doubtful).stderr == ""


def test_strict_lets_a_warning_end_with_1_but_no_note(doubtful: Path, tmp_path: Path) -> None:
    assert check("--strict", doubtful).exit_code == 1
    (tmp_path / "x.toml").write_text(SOUND.replace('memory = "64m"\n', ""))
    assert check("--strict", tmp_path / "x.toml").exit_code == 0


def test_json_tells_errors_and_findings_to_programs(doubtful: Path, tmp_path: Path) -> None:
    rows = json.loads(check("--format", "json", doubtful).stdout)
    assert [(row["severity"], row["rule"], row["key"], row["line"]) for row in rows] == [
        ("note", "no-memory-limit", "container.web.memory", 1), ("warning", "runs-as-root", "container.web.user", 7)]
    assert all(row["remedy"] and row["message"].endswith(f"; {row['remedy']}") for row in rows)
    (tmp_path / "x.toml").write_text("[container.a]\n")
    done = check("--format", "json", tmp_path / "x.toml")
    assert done.exit_code == 1 and {(row["severity"], row["rule"]) for row in json.loads(done.stdout)} == {("error", None)}
    (image,) = [row for row in json.loads(done.stdout) if row["key"] == "container.a.image"]
    assert (image["message"], image["remedy"]) == ('missing; write image = "nginx:1.27"', 'write image = "nginx:1.27"')


def test_github_gets_workflow_commands(doubtful: Path, tmp_path: Path) -> None:
    lines = check("--format", "github", doubtful).stdout.splitlines()
    place = str(doubtful).replace(",", "%2C")
    assert lines[0].startswith(f"::notice file={place},line=1,title=no-memory-limit::it has no memory limit")
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
