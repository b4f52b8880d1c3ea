"""The mistakes of a new user: each ends in one message that names the remedy, and in no traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ondemand_pkg.cli.main import cli

GOOD = '[container.web]\nimage = "nginx:1.27"\nversion = "1"\nports = ["80:80"]\n'
GOOD_UNIT = '[adopt.web]\nversion = "1"\nunit = "nginx.service"\naddress = "10.0.0.1"\nports = ["80:80"]\n'


@pytest.fixture(autouse=True)
def _work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("web.toml").write_text(GOOD)
    Path("compose.yaml").write_text("services:\n  web:\n    image: nginx\n    ports: ['80:80']\n")
    Path("directory").mkdir()
    Path("web.deb").write_bytes(b"!<arch>\ndebian-binary   \xff")
    Path("web.rpm").write_bytes(b"\xed\xab\xee\xdb\x03")
    Path("zero.container").symlink_to("/dev/zero")
    for name in ("huge.toml", "huge.container"):
        Path(name).touch()
        os.truncate(name, 1 << 40)


def run(*argv: str) -> Result:
    done = CliRunner(env={"DOCKER_HOST": "unix:///nowhere/docker.sock"}).invoke(cli, argv, prog_name="ondemand-pkg")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


CALLS = {
    "no command": ([], 2, "Usage: ondemand-pkg"),
    "a command misspelt": (["chekc", "web.toml"], 2, "Did you mean 'check'?"),
    "no file": (["build"], 2, "Missing argument 'FILE...'"),
    "one side of a comparison": (["diff", "web.toml"], 2, "Missing argument 'NEW'"),
    "a format that is none": (["build", "--format", "apk", "web.toml"], 2, "is not one of 'deb', 'rpm'"),
    "an option misspelt": (["build", "--outptu", "x", "web.toml"], 2, "--output"),
    "a file that is not there": (["build", "gone.toml"], 1, "'ondemand-pkg init IMAGE -o FILE' writes a declaration"),
    "a directory": (["check", "directory"], 1, "name the files in it"),
    "a Compose file": (["build", "compose.yaml"], 1, "'ondemand-pkg import' writes one from a Compose or Quadlet file"),
    "a declaration imported": (["import", "web.toml"], 1, "neither a Compose file (.yaml, .yml) nor a Quadlet file (.container)"),
    "no engine": (["init", "nginx"], 1, "start one ('systemctl start docker')"),
    "an image that is a URL": (["init", "https://nginx"], 1, 'allowed: an image as Docker names it, such as "nginx:1.27"'),
    "a file that is there": (["init", "nginx", "--offline", "-o", "web.toml"], 1, "or --force to overwrite it"),
    "a package in place of its declaration": (["show", "web.deb"], 1,
                                                "a .deb package, not a declaration; give the declaration that it was built"),
    "a package of another kind": (["check", "web.rpm"], 1, "a .rpm package, not a declaration"),
    "a device": (["check", "/dev/zero"], 1, "not a regular file; give a file of text, or /dev/stdin"),
    "a link to a device": (["import", "zero.container"], 1, "not a regular file; give a Compose file"),
    "a file that has hardly an end": (["check", "huge.toml"], 1, "larger than 8 MiB"),
    "a Quadlet file that has hardly an end": (["import", "huge.container"], 1, "larger than 1 MiB"),
    "a Compose file that is not there": (["import", "gone.yaml"], 1, "give a Compose file (compose.yaml) or a Quadlet file"),
    "a Quadlet file that is not there": (["import", "x.container"], 1, "give a Compose file (compose.yaml) or a Quadlet file"),
    "a declaration in place of its Compose file": (["import", "compose.yaml", "-o", "./compose.yaml", "--force"], 1,
                                                   "this is the file to import; give another file with --output"),
    "a comparison with what is not there": (["diff", "web.toml", "x.deb"], 2, "give a package (.deb, .rpm) or a declaration"),
    "an output that is a file": (["build", "web.toml", "-o", "web.toml"], 1, "give a writable directory with --output"),
    "a command of another command misspelt": (["repo", "lst"], 2, "Did you mean 'list'?"),
    "a unit in place of a Quadlet file": (["import", "nginx.service"], 1, "or a Quadlet file (NAME.container)"),
    "a repository that is not there": (["repo", "verify", "--repo", "nowhere"], 1,
                                         "'ondemand-pkg publish --repo nowhere' creates one"),
    "a Quadlet file of another kind": (["import", "x.network"], 1, "import the directory"),
    "nothing to import": (["import"], 2, "give either a FILE or --container NAME"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_call_ends_with_a_remedy(name: str) -> None:
    argv, status, remedy = CALLS[name]
    done = run(*argv)
    assert (done.exit_code, done.stdout) == (status, "") or not argv
    assert remedy in " ".join(done.output.split())


DECLARATIONS = {
    "keys without a table": (GOOD.partition("\n")[2], "write a line [container.NAME] above it"),
    "a table misspelt": (GOOD.replace("[container", "[containers"), 'did you mean "container"?'),
    "a name in capitals": (GOOD.replace("web]", "Web]"), "allowed: lower-case letters, digits"),
    "no version": (GOOD.replace('version = "1"\n', ""), 'missing; write version = "1.27" here or in [package]'),
    "a table without a name": (GOOD.replace("[container.web]", "[container]"), "write [container.NAME] instead of [container]"),
    "a version without quotes": (GOOD.replace('"1"', "1.2"), 'write "1.2"'),
    "a version with a v": (GOOD.replace('"1"', '"v1"'), "that begins with a digit"),
    "a value without quotes": (GOOD.replace('"nginx:1.27"', "nginx"), "x.toml:2: invalid TOML"),
    "one port": (GOOD.replace('["80:80"]', "80"), 'such as "80:8080"'),
    "a port without a target": (GOOD.replace('"80:80"', '"80"'), 'such as "80:8080"'),
    "UDP": (GOOD.replace("80:80", "80:80/udp"), "write ready = { udp = "),
    "a host's name in a port": (GOOD.replace("80:80", "localhost:80:80"), "'localhost' is not an IP address"),
    "a key misspelt": (GOOD.replace("ports", "port"), 'did you mean "ports"?'),
    "environment": (GOOD + 'environment = { A = "b" }\n', "unknown key; write env"),
    "depends_on": (GOOD + 'depends_on = ["db"]\n', "unknown key; write requires"),
    "restart": (GOOD + 'restart = "always"\n', "systemd starts the container at the next connection"),
    "mem_limit": (GOOD + 'mem_limit = "1g"\n', "unknown key; write memory"),
    "env_file": (GOOD + 'env_file = "x"\n', "secrets into /etc/ondemand/web.env"),
    "a number in env": (GOOD + "env = { A = 1 }\n", 'write "1"'),
    "an anonymous volume": (GOOD + 'volumes = ["/data"]\n', 'write "NAME:/data"'),
    "a relative path": (GOOD + 'volumes = ["./x:/y"]\n', "neither an absolute path nor the name of a volume"),
    "a size without a unit": (GOOD + 'memory = "256"\n', 'such as "256m"'),
    "seconds as a number": (GOOD + "idle = 600\n", 'such as "10s", "1min 30s"'),
    "a command line": (GOOD + 'command = "serve -x"\n', "an array of"),
    "an option that is reserved": (GOOD + 'create_args = ["--restart=always"]\n', "systemd starts and stops the container"),
    "two on one port": (GOOD + GOOD.replace("web]", "b]"), "give one of them another address"),
    "braces over two lines": (GOOD + 'env = { A = "x",\n B = "y" }\n', "write a table in braces on one line, or as a table of"),
    "a comma before a brace": (GOOD + 'env = { A = "x", }\n', "at column 18; leave out the comma before it"),
    "a name with an accent": ("[container.caf\u00e9]\n", "put a name with characters other than letters"),
    "sleep switched off": (GOOD + "idle = false\n", 'found false; expected "never", or a time span'),
    "curly quotes": (GOOD.replace('"nginx:1.27"', "\u201cnginx:1.27\u201d"), "at column 9; write straight quotes"),
    "backslashes": (GOOD + 'volumes = ["C:\\data:/data"]\n', "write each backslash twice, or the text between single quotes"),
    "no quotes": (GOOD.replace('"nginx:1.27"', "nginx:1.27"), 'strings need quotes: "nginx:1.27"'),
    "a table twice": (GOOD + GOOD, "it is already declared above; rename this one"),
    "a key twice": (GOOD + 'image = "b:1"\n', "the key is already set above; leave one of the two out"),
    "a name with a dot": (GOOD.replace("[container.web]", "[container.web.api]"), 'write [container."web.api"]'),
    "environment as a list": (GOOD + 'env = ["MODE=a=b", "X="]\n', 'write { MODE = "a=b", X = "" }'),
    "labels as a list": (GOOD + 'labels = ["a.b=c"]\n', 'write { "a.b" = "c" }'),
    "a network by one of its addresses": (GOOD + 'allow = ["10.1.2.3/8"]\n', 'write "10.0.0.0/8"'),
    "a host's name in allow": (GOOD + 'allow = ["example.com"]\n', "allowed: an address or a network"),
    "detached": (GOOD + 'create_args = ["-d"]\n', "it is not an option of 'docker create'"),
    "a port published too": (GOOD + 'create_args = ["-p", "80:80"]\n', "leave --publish out: ports forwards to the container"),
    "a port published too, at one address": (GOOD + 'create_args = ["--publish=127.0.0.1:80:80/tcp"]\n',
                                              "would listen on 80 too"),
    "a port range": (GOOD.replace("80:80", "8000-8010:8000-8010"), "'8000-8010' is not a port from 1 to 65535"),
    "an IPv6 address without brackets": (GOOD.replace("80:80", "::1:80:80"), "write an IPv6 address in brackets"),
    "a key without end": (GOOD + "a" + " . 'b'" * 100_000 + " = 1\n", "x.toml:5: a dotted key with more than 50 parts"),
    "brackets without end": ("a = " + "[" * 100_000, "invalid TOML"),
    "JSON": ('{"container": {}}', "x.toml:1: invalid TOML"),
    "an empty file": ("", "no container is declared; write a table [container.NAME]"),
    "colons": (GOOD.replace(" = ", ": "),
               "x.toml:2: invalid TOML: expected '=' after a key in a key/value pair, at column 6; write KEY"),
    "line ends of an old Mac": (GOOD.replace("\n", "\r"), "line ends of Unix (LF)"),
    "a character that can't be seen": (GOOD + "\0", "x.toml:5: invalid TOML: invalid statement, at column 1; remove"),
    "a quote that is not closed": (GOOD.replace('"1"', '"1'), "x.toml:3: "),
    "a bracket that is not closed": (GOOD.replace('["80:80"]', '["80:80"'), "close it with ]"),
    "a table's bracket that is not closed": (GOOD.replace("web]", "web"), "a table declaration, at column 15; close it"),
    "a time span without quotes": (GOOD + "idle = 10min # at night\n", 'strings need quotes: "10min"'),
    "a stack without a name": (GOOD + '[stack]\nmembers = ["web"]\n', "write [stack.NAME] instead of [stack]"),
    "an adoption without a name": (GOOD + '[adopt]\nunit = "x.service"\n', "write [adopt.NAME] instead of [adopt]"),
    "double brackets": (GOOD.replace("[container.web]", "[[container.web]]"), "instead of [[container.web]]"),
    "a space in a table's name": (GOOD.replace("container.web", "container web"), "into quotes"),
    "a unit without its kind": (GOOD_UNIT.replace(".service", ""), 'write "nginx.service"'),
    "a unit of another kind": (GOOD_UNIT.replace(".service", ".socket"), "a .socket is no service"),
    "a unit's path": (GOOD_UNIT.replace("nginx.", "/etc/systemd/system/nginx."), "allowed: the name of a service of systemd"),
    "a member misspelt": (GOOD + '[stack.shop]\nversion = "1"\nmembers = ["wbe"]\n', 'did you mean "web"?'),
    "a task with ports": (GOOD + 'task = true\nschedule = "daily"\n', "nothing connects to it"),
    "an hour that is none": (GOOD + 'wake_at = "25:00"\n', "allowed: a moment of the calendar"),
    "a time in words": (GOOD + 'idle = "ten minutes"\n', 'such as "10s", "1min 30s"'),
    "no time at all": (GOOD + 'idle = "0"\n', "a time span above 0"),
    "less than no memory": (GOOD + 'memory = "-1m"\n', 'at least "6m"'),
    "a number in quotes": (GOOD + 'release = "1"\n', "expected an integer from 1 to 999999, not a string"),
    "yes for true": (GOOD + 'read_only = "yes"\n', "expected true or false"),
    "a path without its slash": (GOOD + 'ready = { http = "healthz" }\n', 'such as "/healthz"'),
    "two ways to be ready": (GOOD + 'ready = { http = "/", exec = ["x"] }\n', "a table with one of"),
    "port 0": (GOOD.replace("80:80", "0:80"), "'0' is not a port from 1 to 65535"),
    "a port that is too high": (GOOD.replace("80:80", "99999:80"), "'99999' is not a port from 1 to 65535"),
    "an image with a space": (GOOD.replace("nginx:1.27", "nginx 1.27"), "allowed: an image as Docker names it"),
    "no image": (GOOD.replace('image = "nginx:1.27"\n', ""), 'missing; write image = "nginx:1.27"'),
    "no ports": (GOOD.replace('ports = ["80:80"]\n', ""), 'missing; write ports = ["80:8080"]'),
    "an engine misspelt": (GOOD + 'engine = "dokcer"\n', 'allowed: "any" or "docker" or "podman"'),
    "the defaults misspelt": ('[pakage]\nversion = "1"\n' + GOOD, 'did you mean "package"?'),
    "a user's number": (GOOD + "user = 1000\n", 'write "1000"'),
    "everybody": (GOOD + 'allow = "all"\n', 'such as "10.0.0.0/8"'),
    "a name with a slash": (GOOD.replace("container.web", 'container."a/b"'), "allowed: lower-case letters, digits"),
    "a name that is taken": (GOOD.replace("web]", "host]"), "ondemand-host is another package"),
    "nothing": ("# nothing\n", "no container is declared; write a table [container.NAME]"),
    "one that requires itself": (GOOD + 'requires = ["web"]\n', "leave one of these names out"),
}


@pytest.mark.parametrize("name", DECLARATIONS)
def test_a_mistake_in_a_declaration_is_told_with_its_place_and_remedy(name: str) -> None:
    text, remedy = DECLARATIONS[name]
    Path("x.toml").write_text(text)
    done = run("build", "x.toml")
    assert (done.exit_code, done.stdout) == (1, "")
    assert [line for line in done.stderr.splitlines() if line.startswith("error: x.toml") and remedy in line], done.stderr
    assert "dist" not in os.listdir()


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_file_in_another_encoding_is_answered_with_the_one_to_save_it_in(encoding: str) -> None:
    Path("x.toml").write_bytes(GOOD.replace("nginx:1.27", "nginx:caf\u00e9").encode(encoding))
    assert "not UTF-8; save the file as UTF-8" in run("check", "x.toml").stderr


def test_a_mistake_is_found_in_its_line_whatever_ends_the_lines() -> None:
    Path("x.toml").write_bytes(GOOD.replace("ports", "port").replace("\n", "\r\n").encode())
    assert 'error: x.toml:4: container.web.port: unknown key; did you mean "ports"?' in run("check", "x.toml").stderr


def test_what_looks_like_a_mistake_and_is_none_is_taken() -> None:
    Path("x.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()
                               + b'create_args = ["--publish=53:53/udp", "-p", "8080:80", "--publish=9000"]\r\n')
    assert run("check", "x.toml").exit_code == 0
