"""What users may rely on of `excludes`: what a declaration may say, and that one of two services at most is awake."""

from __future__ import annotations

import itertools
import multiprocessing
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import attending
import control
import exclusion as helper
import outcome
import pytest
import words
from process import Failure

from ondemand_pkg.contents import package_of
from ondemand_pkg.contents.declaration_file import as_toml
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.errors import DeclarationError
from ondemand_pkg.formats import DEB
from ondemand_pkg.model import Resolved

HEAD = '[package]\nversion = "1"\n'


def one(name: str, port: int, rest: str = "") -> str:
    return f'[container.{name}]\nimage = "a:1"\nports = ["{port}:{port}"]\n{rest}\n'


def declared(directory: Path, text: str) -> Path:
    (directory / "site.toml").write_text(HEAD + text)
    return directory / "site.toml"


def faults(directory: Path, text: str) -> list[str]:
    with pytest.raises(DeclarationError) as told:
        read([str(declared(directory, text))])
    return [f"{fault.key}: {fault.message}" for fault in told.value.faults]


def test_both_learn_of_it_by_the_package_of_one(tmp_path: Path) -> None:
    a, b = read([str(declared(tmp_path, one("a", 1, 'excludes = ["b"]\nexcludes_timeout = "5min"') + one("b", 2)))])
    files = {entry.path: entry.data for entry in package_of.package(Resolved(a), DEB, 0).entries}
    assert files["/usr/libexec/ondemand/b/a"] == b"excludes 300\n"
    assert b"/run --exclude b 300 -- " in files["/usr/lib/systemd/system/ondemand-a-container.service"]
    assert read([str(declared(tmp_path, as_toml(a).partition("\n\n")[2] or as_toml(a)))]) == [a]
    others = {entry.path: entry.data for entry in package_of.package(Resolved(b), DEB, 0).entries}
    assert b"--exclude" not in others["/usr/lib/systemd/system/ondemand-b-container.service"]


@pytest.mark.parametrize(("text", "told"), [
    (one("a", 1, 'excludes = ["a"]'), ['container.a.excludes: found "a"; that is this container itself; leave it out']),
    (one("a", 1, 'excludes_timeout = "1s"'), ["container.a.excludes_timeout: nothing is excluded; write excludes = [\"NAME\"] "
                                              "too, or leave it out"]),
    (one("a", 1, 'excludes = ["b"]\nrequires = ["b"]') + one("b", 2), [
        "container.a.excludes: found \"b\"; 'a' needs 'b' awake: it could never start; leave one of the two out"]),
    (one("a", 1, 'excludes = ["b"]') + one("b", 2, 'requires = ["c"]') + one("c", 3, 'requires = ["a"]'), [
        "container.a.excludes: found \"b\"; 'b' needs 'a' awake: it could never start; leave one of the two out"]),
    (one("a", 1, 'excludes = ["b"]') + one("b", 2) + one("c", 3, 'requires = ["a", "b"]'), [
        "container.a.excludes: found \"b\"; 'c' needs both awake: it could never start; leave one of the two out"]),
    (one("a", 1, 'excludes = ["b"]\nlinks = ["b"]') + one("b", 2, 'expose = ["2"]'), [
        'container.a.links: "b" is in excludes too: it is never awake at the same time; leave one of the two out']),
    (one("a", 1, 'excludes = ["b"]\nexpose = ["1"]') + one("b", 2, 'links = ["a"]'), [
        "container.b.links: found \"a\"; the container 'a' excludes this one, so it is never awake at the same time; leave one "
        "of the two out"]),
    (one("a", 1) + '[container.w]\nimage = "a:1"\ncompanion_of = ["a"]\nexcludes = ["b"]\n' + one("b", 2), [
        "container.w.excludes: others start this container and wait for it, not clients; write excludes into the containers that "
        "it is started for"]),
    (one("a", 1, 'excludes = ["w"]') + one("b", 2) + '[container.w]\nimage = "a:1"\ncompanion_of = ["b"]\n', [
        'container.a.excludes: found "w"; others start that one and wait for it, not clients; name the containers that it is '
        "started for"]),
    (one("a", 1, 'excludes = ["b"]\nproxy = "systemd-socket-proxyd"') + one("b", 2), [
        "container.a.proxy: \"systemd-socket-proxyd\" does not support 'excludes'; leave one of the two keys out"]),
])
def test_what_does_not_go_with_it_is_told(tmp_path: Path, text: str, told: list[str]) -> None:
    assert faults(tmp_path, text) == told


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(helper, "LOCKS", str(tmp_path / "locks"))
    monkeypatch.setattr(helper, "STATE", f"{tmp_path}/")
    monkeypatch.setattr(attending, "ATTENDANTS", str(tmp_path / "told"))
    for name in "abc":
        (tmp_path / name).mkdir()
    monkeypatch.setattr(outcome, "BEGUN", str(tmp_path / "a/begun"))
    return helper


def test_a_turn_is_had_at_once_where_all_others_sleep(host: Any, tmp_path: Path) -> None:
    turn = host.Exclusion({"b": 1.0}, "a")
    turn.hold(lambda: None)
    assert len(turn.locks) == 1 and (tmp_path / "a/begun").exists()
    turn.hold(lambda: None)
    assert len(turn.locks) == 1, "it is kept over a pause"
    turn.release()


def test_one_that_does_not_declare_it_waits_too(host: Any, tmp_path: Path) -> None:
    (tmp_path / "told/a").mkdir(parents=True)
    (tmp_path / "told/a/b").write_text("excludes 0.1\n")
    first, second = host.Exclusion({"a": 1.0}, "b"), host.Exclusion({}, "a")
    first.hold(lambda: None)
    heard: list[int] = []
    with pytest.raises(Failure, match=r"the service 'b', which can't be awake at the same time, was in use for 0\.1 s"):
        second.hold(lambda: heard.append(1))
    assert heard and not second.locks
    first.release()
    (tmp_path / "a/begun").unlink()
    second.hold(lambda: None)
    second.release()


def test_what_is_left_of_one_that_was_killed_is_waited_for(host: Any, tmp_path: Path) -> None:
    (tmp_path / "b/begun").touch()
    turn = host.Exclusion({"b": 30.0}, "a")
    turn.hold(lambda: (tmp_path / "b/begun").unlink(missing_ok=True))
    assert not (tmp_path / "b/begun").exists()
    turn.release()


def test_one_that_is_awake_is_asked_to_sleep_until_it_does(host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "CONTROL", str(tmp_path / "b/control"))
    server: Any = control.Server()
    (tmp_path / "b/begun").touch()
    heard: list[str] = []

    def serve() -> None:
        for descriptor in server.spoken():
            heard.append(server.heard(descriptor))
        server.tell("ready 172.17.0.2")
        if heard.count(words.YIELD) == 2:
            (tmp_path / "b/begun").unlink()
            server.close()
            heard.append("end")

    told: list[str] = []
    monkeypatch.setattr(host, "notify", told.append)
    turn = host.Exclusion({"b": 30.0}, "a")
    turn.hold(lambda: None if "end" in heard else serve())
    turn.release()
    assert [text for text in told if text.startswith("STATUS=")] == ["STATUS=waiting for b", "STATUS="]
    assert heard.count(words.YIELD) == 2


def lives(directory: Path, name: str, others: dict[str, float], times: int, crowd: Any, most: Any) -> None:
    """Be a service that is awake for a moment, again and again."""
    begun = directory / name / "begun"
    outcome.__dict__["BEGUN"] = str(begun)  # this process ends with the test
    for _ in range(times):
        turn = helper.Exclusion(others, name)
        turn.hold(lambda: None)
        with crowd.get_lock():
            crowd.value += 1
            most.value = max(most.value, crowd.value)
        time.sleep(0.005)
        with crowd.get_lock():
            crowd.value -= 1
        begun.unlink()
        turn.release()


def test_three_that_exclude_each_other_all_have_their_turns_and_never_two_at_once(host: Any, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    crowd, most = context.Value("i", 0), context.Value("i", 0)
    processes = [context.Process(target=lives, args=(tmp_path, name, {other: 60.0 for other in "abc" if other != name}, 10, crowd,
                                                     most)) for name in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
    assert [process.exitcode for process in processes] == [0, 0, 0] and most.value == 1


def test_no_order_of_wakes_and_sleeps_ends_in_a_deadlock() -> None:
    """Walk every order in which services take their locks, in the helper's order, and sleep; each has its turn from anywhere."""
    services = "abcd"
    for pairs in ([("a", "b")], [("a", "b"), ("b", "c")], [("a", "b"), ("b", "c"), ("a", "c")],
                  [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")], list(itertools.combinations(services, 2))):
        wanted = {name: sorted(helper.PAIR.format("", *sorted(pair)) for pair in pairs if name in pair) for name in services}
        start = tuple(0 for _ in services)  # how many locks each has; one more than there are: it has had its turn
        todo, seen = [start], {start}
        while todo:
            world = todo.pop()
            taken = {lock for name, count in zip(services, world, strict=True) if count <= len(wanted[name])
                     for lock in wanted[name][:count]}
            following = []
            for index, (name, count) in enumerate(zip(services, world, strict=True)):
                if count > len(wanted[name]) or (count < len(wanted[name]) and wanted[name][count] in taken):
                    continue
                following.append((*world[:index], count + 1, *world[index + 1:]))
            assert following or all(count == len(wanted[name]) + 1 for name, count in zip(services, world, strict=True)), world
            todo += [one for one in following if one not in seen]
            seen.update(following)


def test_the_locks_go_with_a_package(host: Any, tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    for name in ("a:b.pair", "b:c.pair", "a.lock"):
        (tmp_path / "locks" / name).touch()
    host.forget("a")
    assert sorted(path.name for path in (tmp_path / "locks").iterdir()) == ["a.lock", "b:c.pair"]
