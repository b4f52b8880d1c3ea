"""Nothing that a container, an image, a package or a name of a file holds steers the terminal that it is printed on."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import pty
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import process
import pytest
from click.testing import CliRunner
from engines import docker
from fake_docker import FakeDocker
from hypothesis import example, given
from hypothesis import strategies as st

from ondemand_host import main as host
from ondemand_host import places, services, systemd, table
from ondemand_host.services import Service, Survey
from ondemand_host.systemd import Record
from ondemand_host.visible import as_json, visible
from ondemand_pkg.cli.main import cli
from ondemand_pkg.cli.shared import Report
from ondemand_pkg.errors import DeclarationError, Fault, OndemandError

TOP = Path(__file__).parents[2]
# Sets the title of a window; the same by one character; turns the reading direction; ends the line; a byte that is not UTF-8.
HOSTILE = "\x1b]0;owned\x07\x9b31m\u202egnp.exe\nerror: forged\r\udcff"
SHOWN = r"\x1b]0;owned\x07\x9b31m\u202egnp.exe\nerror: forged\r\xff"
UNSEEN = set(HOSTILE) - {character for character in HOSTILE if character.isprintable()}


def steers(printed: str) -> set[str]:
    return UNSEEN & set(printed) - {"\n"} | {line for line in printed.splitlines() if line.startswith("error: forged")}


@given(st.text())
@example(HOSTILE)
@example("\u2066\u200e\u061c\u2028\u0085\ufeff\U000e0041\x7f\u00ad")
def test_whatever_is_printed_is_one_line_of_seen_characters(text: str) -> None:
    for shown in (visible(text), process.visible(text)):
        assert all(character.isprintable() or character.isspace() for character in shown) and len((shown + ".").splitlines()) == 1
        shown.encode()
    assert text.isprintable() <= (visible(text) == text)
    assert process.visible(text) == visible(text)
    assert json.loads(as_json({"a": [text]})) == {"a": [text]}
    assert steers(as_json({text: text})) == set()


def test_each_character_is_written_so_that_it_can_be_told() -> None:
    assert visible(HOSTILE) == SHOWN and visible("a\nb\tc\x1b", "\n\t") == "a\nb\tc\\x1b"
    assert visible("Größe 5\u00a0€, \u6771\u4eac\u3000\U0001f600") == "Größe 5\u00a0€, \u6771\u4eac\u3000\U0001f600"


@pytest.mark.parametrize("say", [
    lambda report: report.fault(OndemandError(HOSTILE)), lambda report: report.fault(HOSTILE),
    lambda report: report.fault(DeclarationError([Fault(HOSTILE, 3, HOSTILE, HOSTILE, HOSTILE)])),
    lambda report: report.note(HOSTILE), lambda report: report.detail(HOSTILE), lambda report: report.result(HOSTILE),
    lambda report: report.text(HOSTILE.replace("\n", "")), lambda report: report.result(Path(HOSTILE))])
def test_everything_that_a_command_prints_goes_through_one_place(
    say: Callable[[Report], None], capsys: pytest.CaptureFixture[str],
) -> None:
    say(Report(1))
    printed = "".join(capsys.readouterr())
    assert steers(printed) == set() and SHOWN.partition(r"\n")[0] in printed


def test_the_progress_of_a_pull_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    Report(0).progress(HOSTILE)
    assert steers(capsys.readouterr().err.removeprefix("\r").replace("\x1b[K", "")) == set()


def test_lines_of_the_programs_own_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    Report(0).fault(OndemandError("first", "second\nforged"))
    assert capsys.readouterr().err == "error: first\nsecond\\nforged\n"


@pytest.mark.parametrize("argv", [["status"], ["status", "web"], ["status", "--json"]])
def test_a_reason_that_quotes_the_container_does_not_steer_the_terminal(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    failure = Record(HOSTILE, 0, True, HOSTILE, HOSTILE)
    wake = Record(HOSTILE, 0, False, HOSTILE, phases=((HOSTILE, 1),), total=1)
    found = Survey((Service(HOSTILE, "failing", (HOSTILE,), 0, last_wake=wake, failures=1, failures_in_a_row=1,
                            last_failure=failure, built_by=HOSTILE),))
    monkeypatch.setattr(services, "survey", lambda names: found)
    done = CliRunner().invoke(cli, argv)
    assert done.exit_code == 0 and steers(done.output) == set(), done.output
    assert "x1b]0;owned" in done.output or json.loads(done.output)["services"][0]["last_failure"]["reason"] == HOSTILE


def test_a_service_by_a_hostile_name_is_no_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(systemd, "require_systemd", lambda: None)
    monkeypatch.setattr(places, "LIBEXEC", str(tmp_path))
    done = CliRunner().invoke(cli, ["status", HOSTILE])
    assert done.exit_code == 1 and steers(done.output) == set()
    assert table.not_readable(Survey(())) == []


@pytest.mark.parametrize("words", [[HOSTILE], ["status", "--" + HOSTILE.replace(" ", "")], ["logs", "--lines", HOSTILE, "x"],
                                   ["logs", HOSTILE]])
def test_a_hostile_word_does_not_steer_the_terminal_of_a_host(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert host.main(words) in (1, 2)
    printed = "".join(capfd.readouterr())
    assert steers(printed) == set() and "x1b]0;owned" in printed


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_hostile_path_in_a_package_is_told_by_diff(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('[container.x]\nimage = "x:1"\nversion = "1"\nports = ["80:80"]\n')
    assert CliRunner().invoke(cli, ["build", str(tmp_path / "x.toml"), "-o", str(tmp_path), "--format", "deb"]).exit_code == 0
    old, new = tmp_path / "ondemand-x_1-1_all.deb", tmp_path / "new.deb"
    new.write_bytes(with_file(old.read_bytes(), f"./usr/share/{HOSTILE}"))
    done = CliRunner().invoke(cli, ["diff", str(old), str(new), *options])
    assert done.exit_code == 1 and steers(done.output) == set() and "]0;owned" in done.output, done.output


def with_file(deb: bytes, path: str) -> bytes:
    """Return a .deb with another file in it."""
    magic, members, position = deb[:8], [], 8
    while position < len(deb):
        head, size = deb[position:position + 60], int(deb[position + 48:position + 58])
        members.append((head, deb[position + 60:position + 60 + size]))
        position += 60 + size + size % 2
    out = magic
    for head, data in members:
        name = head[:16].decode().strip().rstrip("/")
        if name.startswith("data.tar"):
            target = io.BytesIO()
            with tarfile.open(fileobj=io.BytesIO(data)) as source, tarfile.open(fileobj=target, mode="w") as archive:
                for member in source:
                    archive.addfile(member, source.extractfile(member) if member.isfile() else None)
                member = tarfile.TarInfo(path)
                archive.addfile(member, io.BytesIO())
            data, name = gzip.compress(target.getvalue()), "data.tar.gz"
        out += f"{name:<16}".encode() + head[16:48] + f"{len(data):<10}".encode() + head[58:60] + data + b"\n" * (len(data) % 2)
    return out


@pytest.mark.parametrize("argv", [["build", HOSTILE], ["check", HOSTILE], ["check", "--format", "json", HOSTILE],
                                  ["check", "--format", "github", HOSTILE], ["show", HOSTILE], ["import", HOSTILE],
                                  ["init", HOSTILE], ["diff", HOSTILE, HOSTILE], ["publish", "--repo", ".", HOSTILE],
                                  ["repo", "list", "--repo", HOSTILE], ["repo", "verify", "--repo", HOSTILE], [HOSTILE],
                                  ["build", "-o", "x", "--" + HOSTILE], ["show", "a", HOSTILE],
                                  ["build", "--format", HOSTILE, "a"]])
def test_a_hostile_name_of_a_file_does_not_steer_the_terminal(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner(env={"DOCKER_HOST": "unix:///nowhere"}).invoke(cli, argv)
    assert done.exit_code in (1, 2) and steers(done.output) == set(), done.output


def test_helpers_say_nothing_that_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    process.say(HOSTILE)
    assert capsys.readouterr().err == f"ondemand-x: {SHOWN}\n"


def test_the_docker_command_has_no_terminal_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """dpkg and rpm on a terminal show how a pull goes; registries have a part in the words."""
    command = tmp_path / "docker"
    command.write_text("#!/bin/sh\n[ -t 2 ] && exit 3\nprintf 'Pulling \\033]0;owned\\007\\n' >&2\necho 'Error: no' >&2\n"
                       "echo >&2\necho \"See 'docker create --help'.\" >&2\nexit 1\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with (contextlib.closing(FakeDocker(tmp_path)) as engine,
              pytest.raises(process.Failure, match="^it failed: Error: no$")):
            docker.Docker(engine.path).command(["create"], "it failed")
    printed = os.read(leader, 10000).decode()
    os.close(leader)
    assert "Pulling \\x1b]0;owned\\x07\r\n" in printed and "\x1b" not in printed


def test_a_terminal_gets_the_same(tmp_path: Path) -> None:
    """The whole program, on a terminal, with a name of a file that is not UTF-8."""
    leader, follower = pty.openpty()
    done = subprocess.Popen([sys.executable, "-m", "ondemand_pkg", "check", os.fsencode(HOSTILE)], cwd=tmp_path, stdin=follower,
                            stdout=follower, stderr=follower, env={**os.environ, "PYTHONPATH": str(TOP)})
    os.close(follower)
    printed = b""
    try:
        while piece := os.read(leader, 10000):
            printed += piece
    except OSError:
        pass  # what a terminal says at its end
    assert done.wait() == 1 and b"]0;owned" in printed
    assert not [sign for sign in (b"\x1b]", b"\x9b", b"\xff") if sign in printed]
