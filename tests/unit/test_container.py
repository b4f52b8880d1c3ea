"""What users may rely on of the container's making: one takes the place of another, whatever the engine, and its data stays."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import container
import declared
import look
import pytest
from fake_docker import FakeDocker
from fake_engine import NAME, SPEC, Departure, FakeEngine, Workload
from other_engine import FakeOther
from process import ENGINE_LEFT

NEXT, PREVIOUS = f"{NAME}.next", f"{NAME}.previous"
OLD = "e" * 64
ANONYMOUS = ("a" * 64, "/data")


class Helper:
    """The helper on a host with systemd, and what it declares."""

    def __init__(self, engine: FakeEngine, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.engine = engine
        self.workloads = engine.workloads
        self.declaration = directory / "container.json"
        self.declare()
        monkeypatch.setattr(container, "DECLARATION", str(self.declaration))
        monkeypatch.setattr(declared, "DECLARATION", str(self.declaration))
        monkeypatch.setattr(declared, "ENVIRONMENT_FILE", str(directory / "x.env"))
        monkeypatch.setattr(container, "STATE", str(directory / "state"))
        monkeypatch.setattr(container, "Lock", contextlib.nullcontext)
        monkeypatch.setattr(container, "remove_lock", lambda: None)
        is_directory = os.path.isdir
        monkeypatch.setattr(os.path, "isdir", lambda path: path == "/run/systemd/system" or is_directory(path))

    def declare(self, **keys: Any) -> None:
        self.declaration.write_text(json.dumps({
            "container": NAME, "image": "nginx:1", "options": [], "volumes": [], "command": [], "env": {"A": "1", "B": "2"},
            **keys, "spec": SPEC}))

    def call(self, verb: str) -> int:
        return container.main([verb], self.engine.engine())

    def specifications(self) -> dict[str, str]:
        return {name: workload.specification[0] for name, workload in self.workloads.items()}


@pytest.fixture(params=[FakeDocker, FakeOther])
def helper(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Helper]:
    engine = request.param(tmp_path)
    engine.put_command(monkeypatch)
    engine.images.add("nginx:1")
    yield Helper(engine, tmp_path, monkeypatch)
    engine.close()


@pytest.mark.parametrize("verb", ["create", "wake"])
def test_where_there_is_none_it_is_made_with_the_administrators_environment(helper: Helper, tmp_path: Path, verb: str) -> None:
    del helper.workloads[NAME]
    (tmp_path / "x.env").write_text("B=3 and more\n")
    assert helper.call(verb) == 0
    made = helper.workloads[NAME]
    assert (made.image, made.environment) == ("nginx:1", {"A": "1", "B": "3 and more"})
    assert list(helper.workloads) == [NAME] and made.specification != SPEC


@pytest.mark.parametrize(("has_left", "status"), [(True, ENGINE_LEFT), (False, 1)])
def test_where_the_engine_goes_away_while_it_is_made_the_start_is_worth_another_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_left: bool, status: int,
) -> None:
    engine = FakeDocker(tmp_path)
    engine.put_command(monkeypatch)
    helper = Helper(engine, tmp_path, monkeypatch)
    del helper.workloads[NAME]
    hear = engine.hear

    def hear_last(word: str) -> None:
        hear(word)
        if word == "make" and engine.asked.count("make") == 1:
            if has_left:
                engine.goes_away()
                engine.comes_back()
            raise Departure

    monkeypatch.setattr(engine, "hear", hear_last)
    assert helper.call("wake") == status
    assert helper.call("wake") == 0 and helper.specifications() == {NAME: "f"}
    engine.close()


@pytest.mark.parametrize("name", [NAME, NEXT])
@pytest.mark.parametrize("verb", ["create", "wake"])
def test_one_that_the_engine_has_made_in_part_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, name: str,
) -> None:
    engine = FakeDocker(tmp_path)
    engine.put_command(monkeypatch)
    helper = Helper(engine, tmp_path, monkeypatch)
    spoilt = Workload(is_spoilt=True)
    del helper.workloads[NAME]
    helper.workloads[name] = spoilt
    assert helper.call(verb) == 0
    assert helper.specifications() == {NAME: "f"} and helper.workloads[NAME] is not spoilt
    engine.close()


@pytest.mark.parametrize("verb", ["create", "wake"])
def test_what_is_there_as_declared_stays(helper: Helper, verb: str) -> None:
    before = dataclasses.replace(helper.workloads[NAME])
    assert helper.call(verb) == 0
    assert helper.workloads == {NAME: before} and "make" not in helper.engine.asked


def test_another_one_takes_its_place_with_the_data_of_its_anonymous_volumes(helper: Helper) -> None:
    old = helper.workloads[NAME] = Workload(OLD, started=1.0, volumes=[ANONYMOUS, ("b" * 64, "/declared")])
    helper.declare(volumes=["/declared"])
    assert helper.call("wake") == 0
    assert helper.specifications() == {NAME: "f", PREVIOUS: "e"} and helper.workloads[PREVIOUS] is old
    assert helper.workloads[NAME].volumes == [ANONYMOUS]


def test_a_running_one_is_stopped_for_the_other_only_at_a_wake(helper: Helper) -> None:
    helper.workloads[NAME].specification = OLD
    helper.engine.starts()
    assert helper.call("create") == container.WAITS_FOR_STOP
    assert helper.specifications() == {NAME: "e", NEXT: "f"} and helper.workloads[NAME].is_running
    assert helper.call("wake") == 0
    assert helper.specifications() == {NAME: "f", PREVIOUS: "e"} and not helper.workloads[PREVIOUS].is_running
    assert helper.engine.asked.count("make") == 1


def test_where_the_declaration_goes_back_the_one_from_before_comes_back(helper: Helper) -> None:
    helper.workloads[NAME] = Workload(OLD, started=1.0)
    before = helper.workloads[PREVIOUS] = Workload(SPEC, started=1.0)
    assert helper.call("wake") == 0
    assert helper.specifications() == {NAME: "f", PREVIOUS: "e"} and helper.workloads[NAME] is before
    assert "make" not in helper.engine.asked


def test_what_was_made_for_a_declaration_that_holds_no_more_is_removed(helper: Helper) -> None:
    helper.workloads[NEXT] = Workload("d" * 64)
    assert helper.call("create") == 0
    assert helper.specifications() == {NAME: "f"}


def test_one_that_was_killed_on_its_way_back_is_the_previous_one_again(helper: Helper) -> None:
    helper.workloads[NEXT] = Workload("d" * 64, started=1.0)
    assert helper.call("create") == 0
    assert helper.specifications() == {NAME: "f", PREVIOUS: "d"}


def test_where_none_can_be_made_the_one_from_before_serves(helper: Helper, capfd: pytest.CaptureFixture[str]) -> None:
    helper.workloads[NAME].specification = OLD
    helper.engine.refuses["make"] = "no space left"
    assert helper.call("wake") == 0
    assert helper.specifications() == {NAME: "e"}
    said = capfd.readouterr().err
    assert "no space left; starting the previous container instead; the next wake tries again\n" in said


def test_while_a_client_waits_no_image_is_fetched_where_there_is_a_container(
    helper: Helper, capfd: pytest.CaptureFixture[str],
) -> None:
    helper.workloads[NAME].specification = OLD
    helper.engine.images.clear()
    assert helper.call("wake") == 0 and "make" not in helper.engine.asked
    by_hand = helper.engine.engine().pull_by_hand("nginx:1")
    assert f"the image nginx:1 is not on this host; run '{by_hand}'; starting the previous container" in capfd.readouterr().err


def test_an_image_that_the_package_carries_is_loaded_where_it_is_not_here(helper: Helper, tmp_path: Path) -> None:
    helper.engine.images.clear()
    (tmp_path / "image.tar").write_text("nginx:1")
    helper.declare(archive=str(tmp_path / "image.tar"))
    helper.workloads[NAME].specification = OLD
    assert helper.call("wake") == 0 and helper.engine.images == {"nginx:1"}
    assert helper.specifications() == {NAME: "f", PREVIOUS: "e"}


@pytest.mark.parametrize("name", [NAME, NEXT, PREVIOUS])
def test_somebody_elses_is_never_stopped_renamed_or_removed(
    helper: Helper, capfd: pytest.CaptureFixture[str], name: str,
) -> None:
    helper.workloads[NAME] = Workload(OLD)
    foreign = helper.workloads[name] = Workload("")
    foreign.is_running, foreign.life = True, helper.engine.new_life()
    before = dataclasses.replace(foreign)
    by_hand = helper.engine.engine().rename_by_hand(name, "NEW-NAME")
    # One from before serves where only another name is taken.
    for verb, status in {"create": 0, "wake": 1 if name == NAME else 0, "stop": 0}.items():
        assert helper.call(verb) == status
        assert helper.workloads[name] is foreign and foreign == before
        said = capfd.readouterr().err
        assert (f"the container {name} was not made by this package" in said and by_hand in said) or verb == "stop"
    assert helper.call("remove") == 0 and helper.workloads == {name: foreign} and foreign == before
    assert f"the container {name} was not made by this package and is left alone\n" in capfd.readouterr().err


@pytest.mark.parametrize("verb", ["create", "wake"])
def test_a_value_that_is_no_utf_8_is_told_and_the_one_from_before_serves(
    helper: Helper, tmp_path: Path, capfd: pytest.CaptureFixture[str], verb: str,
) -> None:
    (tmp_path / "x.env").write_bytes(b"B=caf\xe9\n")
    before = dict(helper.workloads)
    assert helper.call(verb) == 0 and helper.workloads == before and "make" not in helper.engine.asked
    assert f"{tmp_path}/x.env: the line of B is not UTF-8; save the file as UTF-8; " in capfd.readouterr().err


@pytest.mark.parametrize("verb", ["create", "wake"])
def test_an_environment_that_everybody_can_read_becomes_roots(
    helper: Helper, tmp_path: Path, capfd: pytest.CaptureFixture[str], verb: str,
) -> None:
    path = tmp_path / "x.env"
    for text, mode in {"# nothing\n": 0o644, "B=secret\n": 0o600}.items():
        path.write_text(text)
        path.chmod(0o644)
        assert helper.call(verb) == 0 and path.stat().st_mode & 0o777 == mode
    assert capfd.readouterr().err.count("everybody could read the values in ") == 1


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_an_environment_that_is_no_file_holds_nothing_up(
    helper: Helper, tmp_path: Path, capfd: pytest.CaptureFixture[str], make: Callable[[Path], object],
) -> None:
    make(tmp_path / "x.env")
    helper.engine.starts()
    assert [helper.call(verb) for verb in ("create", "wake", "stop", "remove")] == [0, 1, 0, 0] and helper.workloads == {}
    assert capfd.readouterr().err.count(f"{tmp_path}/x.env is not a regular file; ") == 2


def test_all_of_them_are_removed_and_what_stays_is_told(helper: Helper, capfd: pytest.CaptureFixture[str]) -> None:
    helper.workloads[NAME].volumes = [ANONYMOUS]
    helper.workloads[PREVIOUS] = Workload(OLD)
    assert helper.call("remove") == 0 and helper.workloads == {}
    by_hand = helper.engine.engine().remove_volumes_by_hand([ANONYMOUS[0]])
    assert f"the container's anonymous volumes are kept; delete them with: {by_hand}\n" in capfd.readouterr().err


@pytest.mark.parametrize("word", ["look", "remove"])
def test_an_engine_that_never_answers_holds_no_package_manager_up(
    helper: Helper, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], word: str,
) -> None:
    monkeypatch.setattr(container, "SCRIPT_PATIENCE", 0.1)
    helper.workloads[PREVIOUS] = Workload(OLD)
    helper.workloads[NEXT] = Workload(SPEC)
    helper.engine.hangs.add(word)
    assert [helper.call("create"), helper.call("remove")] == [0, 0]
    told = capfd.readouterr().err
    assert "the next connection tries again" in told and "the container was not removed (" in told


def test_one_that_is_paused_is_stopped(helper: Helper) -> None:
    helper.engine.starts()
    helper.workloads[NAME].is_paused = True
    assert helper.call("stop") == 0
    assert not helper.workloads[NAME].is_running and not helper.workloads[NAME].is_paused


def test_without_an_engine_nothing_is_lost(helper: Helper, capfd: pytest.CaptureFixture[str]) -> None:
    engine = helper.engine.engine()
    helper.engine.goes_away()
    assert [helper.call(verb) for verb in ("create", "wake", "stop", "remove")] == [0, ENGINE_LEFT, 0, 0]
    said = capfd.readouterr().err
    assert f"no {engine.title} engine answers on {engine.place}; the first connection creates the container\n" in said
    assert f"remove it with: {engine.remove_by_hand([NEXT, NAME, PREVIOUS])}\n" in said
    helper.engine.comes_back()


def seen(helper: Helper, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    before = {name: dataclasses.replace(workload) for name, workload in helper.workloads.items()}
    assert look.main([], helper.engine.engine()) == 0
    assert helper.workloads == before
    return dict(json.loads(capsys.readouterr().out))


def test_what_the_next_wake_finds_can_be_looked_at_without_a_change(helper: Helper, capsys: pytest.CaptureFixture[str]) -> None:
    found = seen(helper, capsys)
    assert (found["answers"], found["failure"]) == (True, None)
    assert (found["image"]["name"], found["image"]["is_there"]) == ("nginx:1", True)
    assert found["workload"] == {"name": NAME, "is_there": True, "is_declared": True, "is_waiting": False, "is_running": False,
                                 "is_paused": False}
    helper.workloads[NAME].specification = OLD
    helper.engine.images.clear()
    found = seen(helper, capsys)
    assert not found["workload"]["is_declared"] and not found["image"]["is_there"] and "nginx:1" in found["image"]["pull"]
    del helper.workloads[NAME]
    assert not seen(helper, capsys)["workload"]["is_there"]


def test_what_would_end_the_next_wake_is_looked_at_too(
    helper: Helper, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "x.env").write_bytes(b"A=\xff\n")
    assert "is not UTF-8" in seen(helper, capsys)["failure"]
    (tmp_path / "x.env").unlink()
    helper.engine.goes_away()
    found = seen(helper, capsys)
    helper.engine.comes_back()
    assert (found["answers"], found["image"], found["workload"]) == (False, None, None)


def test_a_directory_of_the_host_that_is_not_there_is_named_at_the_installation(
    helper: Helper, tmp_path: Path, capfd: pytest.CaptureFixture[str],
) -> None:
    helper.declare(volumes=[f"{tmp_path}:/there", f"{tmp_path}/gone:/gone:ro", "data:/data", "/anonymous"])
    assert helper.call("create") == 0
    said = [line for line in capfd.readouterr().err.splitlines() if "does not exist" in line]
    assert len(said) == 1 and said[0].startswith(f"ondemand-x: {tmp_path}/gone, which the container uses")
    assert helper.call("wake") == 0 and "does not exist" not in capfd.readouterr().err


@pytest.mark.parametrize(("driver", "keys", "expected"), [
    ("json-file", {"log_limit": 100000}, ["max-size=50000", "max-file=2"]),
    ("local", {"log_limit": 100000}, ["max-size=50000", "max-file=2"]),
    ("", {"log_limit": 100000}, []),  # it does not say
    ("json-file", {}, []), ("journald", {"log_limit": 100000}, []),
    ("json-file", {"log_limit": 100000, "options": ["--log-driver=none"]}, []),
    ("json-file", {"log_limit": 100000, "options": ["--log-opt=max-size=1g"]}, ["max-size=1g"])])
def test_the_engine_keeps_as_much_output_as_is_declared_where_it_can_and_nothing_else_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str, keys: dict[str, Any], expected: list[str],
) -> None:
    engine = FakeDocker(tmp_path)
    engine.put_command(monkeypatch)
    engine.images.add("nginx:1")
    engine.log_driver = driver
    helper = Helper(engine, tmp_path, monkeypatch)
    del helper.workloads[NAME]
    helper.declare(**keys)
    assert helper.call("wake") == 0 and engine.log_options == expected
    engine.close()
