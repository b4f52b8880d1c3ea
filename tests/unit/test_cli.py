"""What people may rely on at the command line: streams, exit statuses, files."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner
from requirements import need

from ondemand_pkg.cli.main import cli

SMALLEST = '[container.nginx]\nimage = "nginx:1.27"\nversion = "1.27.0"\nports = ["80:80"]\n'
NAMES = ["ondemand-nginx-1.27.0-1.noarch.rpm", "ondemand-nginx_1.27.0-1_all.deb"]


def run(*argv: str, cwd: Path, env: Mapping[str, str] | None = None, umask: int = 0o022) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ondemand_pkg", *argv], cwd=cwd, capture_output=True, text=True, umask=umask,
                          env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **(env or {})})


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "nginx.toml").write_text(SMALLEST)
    return tmp_path


def test_build_writes_both_formats_and_prints_one_path_a_line(work: Path) -> None:
    done = run("build", "nginx.toml", cwd=work)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.split()) == [f"dist/{name}" for name in NAMES]
    assert sorted(os.listdir(work / "dist")) == NAMES


def test_build_writes_one_format_where_told(work: Path) -> None:
    assert run("build", "--format", "deb", "-o", "out/of", "nginx.toml", cwd=work).stdout == f"out/of/{NAMES[1]}\n"
    assert os.listdir(work / "out/of") == [NAMES[1]]


def test_a_key_that_can_not_sign_builds_nothing(work: Path, tmp_path: Path) -> None:
    need("gpg")
    done = run("build", "--key", "nobody@example.com", "nginx.toml", cwd=work, env={"GNUPGHOME": str(tmp_path)})
    assert (done.returncode, done.stdout) == (1, "") and "gpg does not have this secret key" in done.stderr
    assert not (work / "dist").exists()
    done = run("build", "--key", "nobody@example.com", "--format", "deb", "nginx.toml", cwd=work)
    assert done.returncode == 2 and "--key signs .rpm packages only" in done.stderr and "publish --key KEY" in done.stderr


@pytest.mark.parametrize("command", ["build", "source"])
def test_a_fault_leaves_no_file_and_no_directory(work: Path, command: str) -> None:
    (work / "bad.toml").write_text(SMALLEST.replace("nginx]", "b]").replace("80:80", "81"))
    done = run(command, "nginx.toml", "bad.toml", cwd=work)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith('error: bad.toml:4: container.b.ports[0]: found "81"; allowed: ')
    assert sorted(os.listdir(work)) == ["bad.toml", "nginx.toml"]


def test_a_directory_that_cant_be_written_is_told_with_the_remedy(work: Path) -> None:
    (work / "dist").write_text("in the way")
    done = run("build", "nginx.toml", cwd=work)
    assert done.returncode == 1
    assert done.stderr == "error: dist: the packages can't be written: File exists; give a writable directory with --output\n"


@pytest.mark.parametrize("argv", [[], ["build"], ["bild", "x"], ["build", "--format", "apk", "nginx.toml"], ["show"]])
def test_a_call_that_is_off_ends_with_2(work: Path, argv: list[str]) -> None:
    done = run(*argv, cwd=work)
    assert done.returncode == 2 and not done.stdout and "Usage:" in done.stderr


def test_check_writes_nothing(work: Path) -> None:
    done = run("check", "nginx.toml", cwd=work)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "1 container: no error\n")
    assert run("check", "--quiet", "nginx.toml", cwd=work).stderr == ""
    assert os.listdir(work) == ["nginx.toml"]


def test_show_prints_every_file_script_and_field(work: Path) -> None:
    text = run("show", "nginx.toml", cwd=work).stdout
    for part in ["=== ondemand-nginx_1.27.0-1_all.deb", "=== ondemand-nginx-1.27.0-1.noarch.rpm", "--- script postinst",
                 "--- script post", "ListenStream=80", "-rw------- root root /etc/ondemand/nginx.env (config)",
                 "depends: docker.io | docker-ce", "built by: ondemand-pkg 0.",
                 '"image": "nginx:1.27"', "enable ondemand-nginx.socket"]:
        assert part in text


def test_a_reader_that_goes_away_is_no_fault(work: Path) -> None:
    done = subprocess.run(f"{sys.executable} -m ondemand_pkg show nginx.toml | head -1", shell=True, cwd=work, text=True,
                          capture_output=True, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})
    assert done.stderr == "" and done.stdout.startswith("=== ")


@pytest.mark.parametrize(("argv", "status"), [
    (["build", "nginx.toml"], 1), (["show", "nginx.toml"], 1), (["diff", "nginx.toml", "other.toml"], 2), (["--help"], 1),
    (["build", "--help"], 1)])
def test_results_that_cant_be_printed_are_told(work: Path, argv: list[str], status: int) -> None:
    (work / "other.toml").write_text(SMALLEST.replace("80:80", "81:80"))
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "ondemand_pkg", *argv], cwd=work, text=True, stdout=full,
                              stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})
    assert (done.returncode, done.stderr) == (
        status, "error: standard output: No space left on device; the output is incomplete\n")


def test_a_senseless_source_date_epoch_is_told(work: Path) -> None:
    done = run("build", "nginx.toml", cwd=work, env={"SOURCE_DATE_EPOCH": "yesterday"})
    assert (done.returncode, done.stderr.startswith("error: SOURCE_DATE_EPOCH is 'yesterday'")) == (1, True)


def digests(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.iterdir()) if path.is_file()}


@pytest.mark.parametrize("command", ["build", "source"])
def test_the_same_declaration_gives_the_same_bytes_everywhere(tmp_path: Path, command: str) -> None:
    results = []
    for name, umask, env in [("a", 0o022, {"TZ": "UTC", "LC_ALL": "C", "PYTHONHASHSEED": "1"}),
                             ("b", 0o077, {"TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8", "USER": "x", "HOME": str(tmp_path),
                                           "PYTHONHASHSEED": "2"})]:
        work = tmp_path / name
        work.mkdir()
        (work / "nginx.toml").write_text(SMALLEST)
        done = run(command, "nginx.toml", cwd=work, umask=umask, env=env)
        assert done.returncode == 0, done.stderr
        results.append(digests(work / "dist"))
    assert results[0] == results[1] != {}


def test_another_user_gets_the_same_bytes(tmp_path: Path) -> None:
    need(root=True)  # who alone can become another user
    results = []
    for user in (0, 65534):
        script = ("import os, sys, tempfile; from pathlib import Path\n"
                  "from ondemand_pkg.building import packing; from ondemand_pkg.model import *\n"
                  "import hashlib; from ondemand_pkg.formats import FORMATS\n"
                  "c = Container('nginx', 'nginx:1.27', '1', (Port(TcpAddress(None, 80), 80),))\n"
                  "todo = packing.tasks([c], FORMATS.values(), {})\n"
                  "def packed(directory):\n"
                  "    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in packing.write(todo, Path(directory))]\n"
                  "packed(sys.argv[1])  # loads what the other user may not read\n"
                  f"os.setuid({user})\n"
                  "with tempfile.TemporaryDirectory() as directory:\n"
                  "    print(packed(directory))")
        done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True,
                              cwd=Path(__file__).parents[2])
        assert done.returncode == 0, done.stderr
        results.append(done.stdout)
    assert results[0] == results[1]


def test_source_date_epoch_is_the_time_of_everything(work: Path) -> None:
    run("build", "nginx.toml", cwd=work, env={"SOURCE_DATE_EPOCH": "1700000000"})
    later = digests(work / "dist")
    run("build", "nginx.toml", cwd=work)
    assert set(later) == set(digests(work / "dist")) and later != digests(work / "dist")


@pytest.mark.parametrize("command", [[], ["repo"], ["repo", "key"], ["build"], ["check"]])
def test_help_cuts_no_line_and_fits_a_terminal(command: list[str]) -> None:
    text = CliRunner().invoke(cli, [*command, "--help"]).output
    lines = text.split("Commands:" if "Commands:" in text else "Options:")[1].splitlines()
    assert [line for line in lines if line.endswith("...") or len(line) > 80] == []
