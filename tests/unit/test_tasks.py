"""What users may rely on of tasks: what a declaration may say, when one runs, and what its end means for those that wait."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attending
import outcome
import pytest
import required
import task as helper
import tasks
from fake_docker import FakeDocker
from process import Failure
from run_host import Host, until

from ondemand_pkg.contents import package_of
from ondemand_pkg.contents.declaration_file import as_toml
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.errors import DeclarationError
from ondemand_pkg.formats import DEB, RPM, Format
from ondemand_pkg.model import Resolved

WEB = '[package]\nversion = "1"\nrelease = 3\n[container.web]\nimage = "a:1"\nports = ["80:80"]\n'
TASK = '[container.migrate]\nimage = "a:1"\ntask = true\n'


def written(directory: Path, text: str) -> str:
    (directory / "site.toml").write_text(text)
    return str(directory / "site.toml")


@pytest.mark.parametrize(("rest", "told"), [
    ("", 'task: nothing waits for it, so it would never run; write before = ["NAME"]: a wake of that container runs it; or '
     'schedule = "03:30"'),
    ('before = ["web"]\nschedule = "daily"', "schedule: a task runs before others or by the clock, not both; leave one of before "
     "and schedule out"),
    ('schedule = "daily"\nwhen = "wake"', "when: a task that runs by the clock runs at each moment of its schedule; leave it "
     "out"),
    ('schedule = "at night"', 'schedule: found "at night"; allowed: a moment of the calendar as systemd writes it, such as '
     '"Mon..Fri 07:45", "daily" or "*-*-01 06:00"'),
    ('before = ["web"]\nports = ["81:80"]', "ports: a task runs to its end: nothing connects to it or waits until it "
     "is ready; leave the key out"),
    ('before = ["web"]\nidle = "1h"', "idle: a task runs to its end: nothing connects to it or waits until it is ready; leave "
     "the key out"),
    ('before = ["web"]\nready = "started"', "ready: a task runs to its end: nothing connects to it or waits until it is ready; "
     "leave the key out"),
    ('before = ["web"]\ncompanion_of = ["web"]', "companion_of: a task runs to its end: nothing connects to it or waits until it "
     "is ready; leave the key out"),
    ('before = ["web"]\nlinks = ["web"]', 'links: "web" starts only once this task has ended: a connection to it would wait for '
     "itself; leave it out"),
    ('before = ["web"]\nwhen = "daily"', 'when: found "daily"; allowed: "version" or "wake"'),
    ('before = ["web"]\nrequires = ["web"]', "requires: dependency cycle web -> migrate -> web: each would wait for the next "
     "one; leave one of these names out"),
])
def test_what_contradicts_is_told_with_the_remedy(tmp_path: Path, rest: str, told: str) -> None:
    with pytest.raises(DeclarationError) as faults:
        read([written(tmp_path, WEB + TASK + rest)])
    found = [f"{fault.key}: {fault.message}".partition(".")[2].partition(".")[2] for fault in faults.value.faults]
    assert told in found or told.replace("requires: ", "before: ") in found


def test_how_a_task_runs_is_said_of_tasks_alone(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError) as faults:
        read([written(tmp_path, WEB + 'when = "wake"\ntask_timeout = "1h"\nschedule = "daily"\n')])
    assert [fault.key for fault in faults.value.faults] == [
        "container.web.when", "container.web.task_timeout", "container.web.schedule"]


def test_one_that_runs_by_the_clock_has_a_timer_that_presets_enable_and_runs_each_time(tmp_path: Path) -> None:
    (_, found) = read([written(tmp_path, WEB + TASK + 'schedule = ["03:30", "Sat 12:00"]')])
    files = {entry.path: entry.data.decode("utf-8", "replace") for entry in package_of.package(Resolved(found), RPM, 0).entries}
    timer = files["/usr/lib/systemd/system/ondemand-wake@migrate.timer"]
    assert "OnCalendar=03:30\nOnCalendar=Sat 12:00\n" in timer
    assert "Persistent=yes\nUnit=ondemand-migrate-container.service\n" in timer
    assert files["/usr/lib/systemd/system-preset/80-ondemand-migrate.preset"] == "enable ondemand-wake@migrate.timer\n"
    assert "/task --when wake " in files["/usr/lib/systemd/system/ondemand-migrate-container.service"]
    assert json.loads(files["/usr/libexec/ondemand-migrate/container.json"])["schedule"] == ["03:30", "Sat 12:00"]
    assert not [path for path in files if path.startswith("/usr/libexec/ondemand/")]
    (again,) = read([written(tmp_path, as_toml(found))])
    assert again == found


@pytest.mark.parametrize("format", [DEB, RPM], ids=lambda format: format.name)
def test_its_timer_follows_the_administrator_and_leaves_nothing(tmp_path: Path, format: Format) -> None:
    (_, found) = read([written(tmp_path, WEB + TASK + 'schedule = "03:30"')])
    texts = package_of.package(Resolved(found), format, 0).scripts
    joined = "".join(texts.values())
    assert "is-enabled ondemand-wake@migrate.timer" in joined and "ondemand-migrate.socket >/dev/null" not in joined
    removal = texts["prerm" if format is DEB else "preun"]
    assert "unlink /var/lib/systemd/timers/stamp-ondemand-wake@migrate.timer" in removal
    assert "else\n    if [ -d /run/systemd/system ]; then systemctl stop ondemand-wake@migrate.timer" in removal


def test_its_package_names_it_with_its_version_and_keeps_its_declaration(tmp_path: Path) -> None:
    (_, found) = read([written(tmp_path, WEB + TASK + 'before = ["web"]\nwhen = "wake"\ntask_timeout = "2h"')])
    files = {entry.path: entry.data.decode("utf-8", "replace") for entry in package_of.package(Resolved(found), DEB, 0).entries}
    assert files["/usr/libexec/ondemand/web/migrate"] == "task wake 1-3\n"
    unit = files["/usr/lib/systemd/system/ondemand-migrate-container.service"]
    assert "Type=oneshot\nExecStart=/usr/libexec/ondemand-migrate/task --when wake --timeout 7200 1-3\n" in unit
    assert "TimeoutStartSec=12600\n" in unit
    (again,) = read([written(tmp_path, as_toml(found))])
    assert again == found


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    found = Host(FakeDocker(tmp_path), tmp_path, monkeypatch)
    monkeypatch.setattr(helper, "LOCKS", str(tmp_path / "locks"))
    monkeypatch.setattr(helper, "STATE", str(tmp_path))
    monkeypatch.setattr(helper, "DONE", str(tmp_path / "x.done"))
    monkeypatch.setattr(helper.note_done, "__defaults__", (str(tmp_path / "x.done"),))
    with contextlib.closing(found):
        yield found


def making(host: Host, when: str = "version", timeout: float = 30) -> Host:
    host.make = lambda _: helper.Task(host.engine.engine(), [], when, timeout, "2-1")  # type: ignore[method-assign,assignment]
    return host


def ends(host: Host, status: int, says: bytes = b"") -> Callable[[Any], None]:
    def script(client: Any) -> None:
        until(client, "started")
        if says:
            host.engine.says(says, 2)
        host.engine.exits(status)

    return script


def test_a_task_that_ends_with_success_is_noted_for_its_version(host: Host, tmp_path: Path) -> None:
    (tmp_path / "x.done").write_text("1-1\n")
    assert making(host).run(ends(host, 0)) == 0
    assert (tmp_path / "x.done").read_text() == "1-1\n2-1\n" and (tmp_path / "reason").read_text() == ""
    assert outcome.last_end()[0] == 0


def test_a_task_that_fails_leaves_its_last_words_and_no_note(host: Host, tmp_path: Path) -> None:
    assert making(host).run(ends(host, 3, b"no such column\n")) == 1
    assert not (tmp_path / "x.done").exists() and outcome.last_end()[0] == 1
    assert (tmp_path / "reason").read_text() == 'it exited with status 3; last output: "no such column"'
    assert host.recorded()["ONDEMAND_REASON"] == 'it exited with status 3; last output: "no such column"'


def test_a_task_that_takes_too_long_is_stopped_and_has_failed(host: Host, tmp_path: Path) -> None:
    def script(client: Any) -> None:
        until(client, "failed")
        host.engine.hears("stop")
        host.engine.exits(0)

    assert making(host, timeout=0.2).run(script) == 1
    assert not (tmp_path / "x.done").exists()
    assert (tmp_path / "reason").read_text().startswith("it did not end within 0.2 s; if it needs longer, declare task_timeout")


def test_a_task_that_the_engine_takes_along_is_not_begun_again_by_itself(host: Host, tmp_path: Path) -> None:
    def script(client: Any) -> None:
        until(client, "started")
        host.engine.restarts()

    assert making(host).run(script) == 1
    assert host.engine.asked.count("begin") == 1 and not (tmp_path / "x.done").exists()


def test_a_task_that_is_stopped_by_hand_has_not_succeeded(host: Host, tmp_path: Path) -> None:
    def script(client: Any) -> None:
        until(client, "started")
        host.term()
        until(client, "stopping")
        host.engine.exits(0)

    assert making(host).run(script) == 1
    assert not (tmp_path / "x.done").exists() and (tmp_path / "reason").read_text() == "it was stopped before its end"


def test_one_whose_version_has_run_is_not_run_again(host: Host, tmp_path: Path) -> None:
    (tmp_path / "x.done").write_text("2-1\n")
    found = helper.Task(host.engine.engine(), [], "version", 30, "2-1")
    assert found.run() == 0
    found.control.close()


def test_a_task_whose_version_was_noted_while_it_waited_for_its_turn_is_not_run(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    enter = helper.Turn.__enter__

    def slow(turn: Any) -> None:
        enter(turn)
        (tmp_path / "x.done").write_text("2-1\n")

    monkeypatch.setattr(helper.Turn, "__enter__", slow)
    found = helper.Task(host.engine.engine(), [], "version", 30, "2-1")
    assert found.run() == 0
    found.control.close()


def test_a_task_waits_for_the_tasks_before_it_without_taking_its_turn(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "TURN_PATIENCE", 0.2)
    found = making(host)

    def other_task(_: bool) -> None:
        with helper.Turn():
            pass

    make = found.make

    def made(argv: Any) -> Any:
        one = make(argv)
        monkeypatch.setattr(one.life.required, "hold", lambda wakes: other_task(wakes))
        return one

    found.make = made  # type: ignore[method-assign]
    assert found.run(ends(host, 0)) == 0


def test_tasks_of_a_host_run_one_at_a_time(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "TURN_PATIENCE", 0.2)
    with helper.Turn():
        with pytest.raises(Failure, match="other tasks of this host did not end within"), helper.Turn():
            pass
    with helper.Turn():
        pass


@pytest.mark.parametrize("argv", [[], ["--when", "daily", "1-1"], ["--when", "wake", "1-1"], ["--timeout", "x", "1-1"],
                                  ["--when", "wake", "--timeout", "5"]])
def test_a_call_that_makes_no_sense_is_refused(host: Host, argv: list[str]) -> None:
    assert helper.main(argv, host.engine.engine()) == 2


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service x with the task `job`, whose systemctl does what a file says."""
    monkeypatch.setattr(attending, "ATTENDANTS", str(tmp_path / "attendants"))
    for module in (tasks, required):
        monkeypatch.setattr(module, "STATE", f"{tmp_path}/")
    monkeypatch.setattr(tasks, "RECORDS", f"{tmp_path}/{{}}.done")
    (tmp_path / "attendants/x").mkdir(parents=True)
    (tmp_path / "attendants/x/job").write_text("task version 2-1\n")
    (tmp_path / "job").mkdir()
    program = tmp_path / "bin/systemctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/called\n. {tmp_path}/does\n')
    program.chmod(0o755)
    (tmp_path / "called").touch()
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path


def test_a_service_runs_its_task_and_goes_on_once_it_is_noted(waiting: Path) -> None:
    (waiting / "does").write_text(f"sleep 0.2; echo 2-1 > {waiting}/job.done")
    heeded: list[int] = []
    tasks.run_all(lambda: heeded.append(1), "x")
    assert heeded and (waiting / "called").read_text() == "start ondemand-job-container.service\n"
    tasks.run_all(lambda: None, "x")
    assert (waiting / "called").read_text().count("start") == 1, "its version has run"


def test_a_service_whose_task_fails_says_why(waiting: Path) -> None:
    (waiting / "does").write_text(f"echo 'it exited with status 1; no output' > {waiting}/job/reason; exit 1")
    with pytest.raises(Failure) as told:
        tasks.run_all(lambda: None, "x")
    assert str(told.value) == ("the task 'job' failed: it exited with status 1; no output; see "
                               "'journalctl -u ondemand-job-container'")


def test_the_reason_of_an_earlier_failure_is_not_told_again(waiting: Path) -> None:
    (waiting / "job/reason").write_text("old")
    (waiting / "does").write_text("exit 1")
    with pytest.raises(Failure, match="the task 'job' failed: it could not be started; "):
        tasks.run_all(lambda: None, "x")


@pytest.mark.parametrize(("failures", "moment", "succeeds"), [(0, 1e9, True), (1, 1e9, False), (0, 0.0, False)],
                         ids=["success", "failure", "an older success"])
def test_a_task_of_each_wake_counts_by_how_it_ended_just_now(waiting: Path, failures: int, moment: float, succeeds: bool) -> None:
    (waiting / "attendants/x/job").write_text("task wake 2-1\n")
    (waiting / "job.done").write_text("2-1\n")
    (waiting / "does").write_text(f"echo {failures} {moment} > {waiting}/job/end")
    with contextlib.nullcontext() if succeeds else pytest.raises(Failure):
        tasks.run_all(lambda: None, "x")
    assert (waiting / "called").read_text().count("start") == 1


def test_systemd_is_asked_for_more_time_while_a_task_runs(waiting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(tasks, "notify", told.append)
    (waiting / "does").write_text(f"sleep 0.1; echo 2-1 > {waiting}/job.done")
    tasks.run_all(lambda: None, "x")
    assert told == ["EXTEND_TIMEOUT_USEC=120000000", "EXTEND_TIMEOUT_USEC=3600000000"]
