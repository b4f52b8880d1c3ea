"""A Compose file of somebody's reads nothing outside its directory, waits for nothing, and puts no secret into a package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ondemand_pkg.cli.main import cli
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.errors import DeclarationError, OndemandError
from ondemand_pkg.importing import env_file, origins

TOP = Path(__file__).parents[2]
SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
# Runs the program and tells what it opened: whatever is read, by whichever way, is opened first.
WATCHED = """import json, sys
opened = []
sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)
from ondemand_pkg.cli.main import cli
try:
    cli(sys.argv[1:])
finally:
    sys.stderr.write("\\n" + json.dumps(opened))
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A project's directory, with what must not be read beside it."""
    directory = tmp_path / "site"
    directory.mkdir()
    (tmp_path / "site-of-others").mkdir()  # begins alike
    for path in (tmp_path / "outside.env", tmp_path / "site-of-others/outside.env"):
        path.write_text(f"KEPT={SECRET}\n")
    (tmp_path / "outside.yaml").write_text(f"services: {{base: {{image: 'x:1', user: {SECRET}, expose: [80]}}}}\n")
    return directory


def web(site: Path, keys: str, more: str = "") -> Path:
    path = site / "compose.yaml"
    path.write_text(f"services:\n  web:\n    image: web:1\n    expose: [80]\n{keys}{more}")
    return path


def run(*argv: str | Path, env: dict[str, str] | None = None) -> Result:
    return CliRunner(env=env).invoke(cli, [*map(str, argv)])


@pytest.mark.parametrize("path", [
    "../outside.env", "{outside}", "~/outside.env", "link.env", "link-to-link.env", "dir/outside.env", "./dir/../dir/outside.env",
    "../site-of-others/outside.env", "/proc/self/environ"])
@pytest.mark.parametrize("form", ["    env_file: {}\n", "    env_file: [{}]\n", "    env_file: [{{path: {}}}]\n",
                                  "    env_file: [{{path: {}, required: false}}]\n",
                                  "    env_file: [{{path: {}, format: raw}}]\n"])
def test_an_env_file_outside_is_not_read_but_told(site: Path, path: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(site.parent))
    (site / "link.env").symlink_to(site.parent / "outside.env")
    (site / "link-to-link.env").symlink_to("link.env")
    (site / "dir").symlink_to("..")
    given = path.format(outside=site.parent / "outside.env")
    done = run("import", web(site, form.format(given)), env={"KEPT": SECRET})
    assert done.exit_code == 0 and SECRET not in done.output, done.output
    assert f"compose.yaml:5: web.env_file {given}: it is " in done.stderr and "--allow-outside reads it" in done.stderr


def test_what_is_asked_for_is_read_and_told(site: Path) -> None:
    file = web(site, "    env_file: ../outside.env\n")
    done = run("import", file, "--allow-outside")
    assert done.exit_code == 0 and f'KEPT = "{SECRET}"' in done.stdout
    real = os.path.realpath(site.parent / "outside.env")
    told = f"web.env_file ../outside.env: it is {real}, outside the project's directory, and was read as --allow-outside asks"
    assert told in done.stderr
    assert run("import", "--container", "x", "--allow-outside").exit_code == 2


@pytest.mark.parametrize("include", ["../outside.yaml", "link.yaml", "{outside}"])
@pytest.mark.parametrize("form", ["include: [{}]\n", "include: [{{path: [{}]}}]\n"])
def test_a_file_outside_is_not_included(site: Path, include: str, form: str) -> None:
    (site / "link.yaml").symlink_to(site.parent / "outside.yaml")
    file = web(site, "", form.format(include.format(outside=site.parent / "outside.yaml")))
    done = run("import", file)
    assert done.exit_code == 1 and not done.stdout and SECRET not in done.stderr
    assert "compose.yaml:5: include " in done.stderr and "--allow-outside reads it" in done.stderr
    done = run("import", file, "--allow-outside")
    assert done.exit_code == 0 and SECRET in done.stdout and "was read as --allow-outside asks" in done.stderr


def test_an_override_outside_is_not_read(site: Path) -> None:
    (site / "compose.override.yaml").symlink_to(site.parent / "outside.yaml")
    done = run("import", web(site, ""))
    assert done.exit_code == 1 and not done.stdout and SECRET not in done.stderr and "--allow-outside reads it" in done.stderr


@pytest.mark.parametrize("extends", ["../outside.yaml", "link.yaml", "{outside}"])
def test_a_service_outside_is_not_extended(site: Path, extends: str) -> None:
    (site / "link.yaml").symlink_to(site.parent / "outside.yaml")
    given = extends.format(outside=site.parent / "outside.yaml")
    file = web(site, f"    extends: {{file: {given}, service: base}}\n")
    done = run("import", file)
    assert done.exit_code == 1 and not done.stdout and SECRET not in done.stderr
    assert "compose.yaml:5: extends " in done.stderr and "--allow-outside reads it" in done.stderr
    done = run("import", file, "--allow-outside")
    assert done.exit_code == 0 and SECRET in done.stdout and "was read as --allow-outside asks" in done.stderr


def test_variables_outside_are_not_read(site: Path) -> None:
    (site / ".env").symlink_to("../outside.env")
    file = web(site, "    labels: {a: 'x$KEPT'}\n")
    done = run("import", file)
    assert done.exit_code == 0 and SECRET not in done.output
    assert "/.env: variables: none of them are set: it is " in done.stderr and "--allow-outside reads it" in done.stderr
    assert f"x{SECRET}" in run("import", file, "--allow-outside").stdout


@pytest.mark.parametrize("where", ["outside", "inside"])
def test_nothing_else_that_a_file_names_is_opened(site: Path, where: str) -> None:
    """Of secrets, configs and further files only the names count; each is a FIFO, at which a read would wait."""
    target = site / "fifos" if where == "inside" else site.parent / "fifos"
    target.mkdir()
    for name in ("secret", "config", "more", "develop", "seccomp"):
        os.mkfifo(target / name)
    (site / ".env").write_text(f"COMPOSE_FILE={target}/more\nCOMPOSE_ENV_FILES={target}/more\n")
    file = web(site, f"""    secrets: [s]
    configs: [{{source: c, target: /c}}]
    security_opt: ["seccomp={target}/seccomp"]
    credential_spec: {{file: {target}/more}}
    build: {{context: {target}, dockerfile: more}}
    develop: {{watch: [{{path: {target}/develop}}]}}
    volumes: ["{target}/more:/more"]
""", f"secrets: {{s: {{file: {target}/secret}}}}\nconfigs: {{c: {{file: {target}/config}}}}\n")
    done = subprocess.run([sys.executable, "-c", WATCHED, "import", file], capture_output=True, text=True, timeout=60, cwd=TOP,
                          env={**os.environ, "COMPOSE_FILE": f"{target}/more"})
    opened = json.loads(done.stderr.splitlines()[-1])
    assert done.returncode == 0 and str(file) in opened, done.stderr
    assert [path for path in opened if path.startswith(str(site.parent)) and path != str(file) and path != f"{site}/.env"] == []


@pytest.mark.parametrize("kind", ["fifo", "device", "directory", "huge", "gone", "binary"])
@pytest.mark.parametrize("key", ["env_file", "extends", "include", "override", ".env", "FILE"])
def test_what_is_no_file_of_text_is_not_waited_for(site: Path, kind: str, key: str) -> None:
    name = site / {"env_file": "a.env", "extends": "a.yaml", ".env": ".env", "FILE": "b.yaml",
                   "include": "c.yaml", "override": "compose.override.yaml"}[key]
    if kind == "fifo":
        os.mkfifo(name)
    elif kind == "device":
        name.symlink_to("/dev/zero")
    elif kind == "directory":
        name.mkdir()
    elif kind == "huge":
        with name.open("wb") as stream:
            stream.truncate(1 << 40)
    elif kind == "binary":
        name.write_bytes(b"A=\xff\n")
    keys = {"env_file": "    env_file: a.env\n", "extends": "    extends: {file: a.yaml, service: b}\n"}.get(key, "")
    file = web(site, keys, "include: [c.yaml]\n" if key == "include" else "")
    begin = time.monotonic()
    done = run("import", name if key == "FILE" else file, "--allow-outside")
    assert time.monotonic() - begin < 10
    if key == "override" and kind == "gone":
        assert done.exit_code == 0
    elif key in ("extends", "include", "override", "FILE"):
        assert done.exit_code == 1 and not done.stdout
    else:
        assert done.exit_code == 0 and (name.name in done.stderr or (key, kind) == (".env", "gone")), done.stderr
    reason = {"fifo": "not a regular file", "device": "not a regular file", "directory": "Is a directory",
              "huge": "larger than 1 MiB", "gone": "No such file", "binary": "not UTF-8"}[kind]
    assert reason in done.stderr or (key, kind) in ((".env", "gone"), ("override", "gone"))


def test_secrets_become_lines_for_the_host_and_the_rest_comes_along(site: Path) -> None:
    (site / "a.env").write_text('MODE=production\n\nDB_PASSWORD="hunter2 # x"\nURL=postgres://u:p4ssw0rd@db:5432/x\n'
                                'TLS_SECRET="one\ntwo"\n')
    (site / ".env").write_text("API_TOKEN=t0ken\nNAME=me\n")
    file = web(site, """    env_file: a.env
    environment:
      API_TOKEN: ${API_TOKEN}
      AWS_SECRET_ACCESS_KEY:
      WHO: ${NAME}
      OWN_PASSWORD: in-the-file
      DEFAULT_PASSWORD: ${GONE_PASSWORD:-in-the-file}
      HIDDEN: x-${AWS_SECRET_ACCESS_KEY}
  db:
    image: postgres:16
""")
    done = run("import", file, "-o", site / "x.toml", env={"AWS_SECRET_ACCESS_KEY": SECRET})
    assert done.exit_code == 0, done.output
    containers = {one.name: one for one in read([str(site / "x.toml")])}
    assert dict(containers["web"].env) == {"MODE": "production", "WHO": "me", "OWN_PASSWORD": "in-the-file",
                                           "DEFAULT_PASSWORD": "in-the-file", "HIDDEN": f"x-{SECRET}"}
    for secret in ("hunter2", "p4ssw0rd", "t0ken", "one\n"):
        assert secret not in done.output + (site / "x.toml").read_text()
    line = ("it seems to be a secret and was left out; write the line '{0}=' with its value, without quotes, into "
            "/etc/ondemand/web.env on each host")
    assert f"a.env:3 and 1 other line: web: env_file DB_PASSWORD, URL: {line.format('VARIABLE')}" in done.stderr, done.stderr
    assert (f"compose.yaml:7 and 1 other line: web: environment API_TOKEN, AWS_SECRET_ACCESS_KEY: {line.format('VARIABLE')}"
            in done.stderr)
    found = json.loads(run("import", file, "--json", env={"AWS_SECRET_ACCESS_KEY": SECRET}).stdout)["notes"]
    for variable in ("DB_PASSWORD", "URL"):
        assert [note["message"] for note in found if note["key"] == f"env_file.{variable}"] == [line.format(variable)]
    assert "a.env:5: web.env_file.TLS_SECRET: it seems to be a secret and was left out; its value has several" in done.stderr
    assert "$AWS_SECRET_ACCESS_KEY: it seems to be a secret, and its value is in the declaration now" in done.stderr
    assert [link.target for link in containers["web"].links] == ["db"], "what was left out speaks of it"


def test_environment_wins_over_env_files_and_later_files_over_earlier(site: Path) -> None:
    (site / "a.env").write_text("A=a\nB=a\nTOKEN=abc\n")
    (site / "b.env").write_text("B=b-${A}-${C}-${E}\nC=b\nD\nTOKEN=\n")
    file = web(site, "    env_file: [a.env, {path: gone.env, required: false}, b.env]\n    environment: [C=own, F=]\n")
    drafts, notes = origins.read(str(file), {"D": "environ", "E": "environ"})
    assert drafts[0].values["env"] == {"A": "a", "B": "b-a-own-environ", "C": "own", "D": "environ", "F": "", "TOKEN": ""}
    assert not [note for note in notes if "gone" in str(note)]


def test_relative_paths_of_another_file_lead_from_there(site: Path) -> None:
    (site / "base").mkdir()
    (site / "base/b.env").write_text("A=base\n")
    (site / "base/base.yaml").write_text("services:\n  base:\n    image: x:1\n    env_file: b.env\n    volumes: ['./data:/data', "
                                         "{type: bind, source: ../up, target: /up}, 'named:/n']\n")
    file = web(site, "    extends: {file: base/base.yaml, service: base}\n", "volumes: {named: }\n")
    values = origins.read(str(file), {})[0][0].values
    assert values["env"] == {"A": "base"}
    assert values["volumes"] == [f"{site}/base/data:/data", f"{site}/up:/up", "site_named:/n"]


@pytest.mark.parametrize("text", [
    "A='x", 'A="x\n', "A B=1", "=1", "A-B!=1", "A=1\n{}\n"])
def test_a_file_that_compose_refuses_is_told_with_its_line(site: Path, text: str) -> None:
    (site / "a.env").write_text("# first\n" + text)
    done = run("import", web(site, "    env_file: a.env\n"))
    assert done.exit_code == 0 and "web.env_file a.env: it can't be read: line " in done.stderr


GROWS = "A=" + "x" * 100_000 + "\n" + "".join(f"B{number}=$A\n" for number in range(10_000))


def test_values_that_grow_are_bounded(site: Path) -> None:
    with pytest.raises(env_file.Malformed, match="line 42: its variables make it larger than 4 MiB"):
        env_file.read(GROWS, {}, set())
    (site / ".env").write_text("A=" + "x" * 100_000 + "\n")
    file = web(site, "    labels:\n" + "".join(f"      a{number}: $A\n" for number in range(1000)))
    with pytest.raises(DeclarationError, match="are together larger than 16 MiB"):
        origins.read(str(file), {})


@pytest.mark.parametrize(("entry", "count"), [
    ("a.env", 50_000), ("../no.env", 50_000), ("gone.env", 50_000), ("{path: gone.env, required: false}", 25_000),
    ("big.env", 2)])
def test_no_list_of_files_takes_the_day(site: Path, entry: str, count: int) -> None:
    (site / "a.env").write_text("A=1\n")
    (site / "big.env").write_text("".join(f"A{number}=${{A{number - 1}}}x\n" for number in range(45_000)))
    begin = time.monotonic()
    try:
        origins.read(str(web(site, f"    env_file: [{', '.join([entry] * count)}]\n")), {})
    except OndemandError as error:
        assert "larger than" in str(error)
    assert time.monotonic() - begin < 20
