"""Which engine a container has: the one that is noted; else Docker where the host has it, and Podman where it has that alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import container
import pytest
from engines import chosen, docker_volumes
from fake_docker import FakeDocker
from fake_engine import NAME, FakeEngine, Workload
from fake_podman import FakePodman


class Hosts:
    """A host with some engines."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.engines: dict[str, FakeEngine] = {}
        monkeypatch.setattr(chosen, "ENGINE_RECORD", str(directory / "lib/x.engine"))
        monkeypatch.setattr(chosen, "DOCKER_SOCKET", str(directory / "docker.sock"))
        monkeypatch.setattr(chosen, "DOCKER_VOLUMES", str(directory / "volumes"))
        monkeypatch.setattr(chosen, "PATH", (str(directory / "bin"),))
        monkeypatch.setattr(chosen, "engine_called", lambda word: self.engines[word].engine())
        monkeypatch.setattr(chosen, "DECLARATION", str(directory / "container.json"))
        (directory / "bin").mkdir()
        (directory / "container.json").write_text(json.dumps({"volumes": ["data:/data", "/srv:/srv"]}))

    def has(self, *words: str) -> None:
        for word in words:
            place = self.directory / word
            place.mkdir()
            self.engines[word] = {"docker": FakeDocker, "podman": FakePodman}[word](place)
            self.engines[word].workloads.clear()
            program = self.directory / "bin" / chosen.DAEMONS[word]
            program.write_text("")
            program.chmod(0o755)

    def notes(self, word: str) -> None:
        (self.directory / "lib").mkdir(exist_ok=True)
        (self.directory / "lib/x.engine").write_text(word)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    found = Hosts(tmp_path, monkeypatch)
    yield found
    for engine in found.engines.values():
        engine.close()


@pytest.mark.parametrize(("engines", "declared", "noted", "has"), [
    (["docker"], "any", "", "docker"), (["podman"], "any", "", "podman"), (["docker", "podman"], "any", "", "docker"),
    (["docker", "podman"], "any", "podman\n", "podman"), (["docker", "podman"], "any", "rubbish", "docker"),
    (["docker", "podman"], "podman", "", "podman"), (["docker", "podman"], "podman", "docker", "docker"),
    (["docker", "podman"], "docker", "podman", "podman"), (["docker", "podman"], "docker", "docker", "docker")])
def test_what_is_noted_holds_whatever_is_installed_later(
    host: Hosts, engines: list[str], declared: str, noted: str, has: str,
) -> None:
    host.has(*engines)
    host.notes(noted)
    found = chosen.engine(declared)
    assert found.word == has and found.successor == ("" if declared in ("any", has) else declared)


def test_podman_in_the_place_of_docker_is_podman(host: Hosts) -> None:
    host.has("podman")
    os.symlink(host.engines["podman"].path, host.directory / "docker.sock")  # of the package podman-docker
    assert chosen.engine("any").word == "podman"


def test_a_container_of_the_first_release_is_found_at_docker(host: Hosts) -> None:
    host.has("docker", "podman")
    host.engines["docker"].workloads[NAME] = Workload()
    found = chosen.engine("podman")
    assert (found.word, found.successor) == ("docker", "podman")


@pytest.mark.parametrize("has_data", [True, False])
def test_a_docker_that_does_not_answer_keeps_its_data(host: Hosts, has_data: bool) -> None:
    host.has("docker", "podman")
    host.engines["docker"].goes_away()
    if has_data:
        (host.directory / "volumes/data").mkdir(parents=True)
    assert chosen.engine("podman").word == ("docker" if has_data else "podman")
    host.engines["docker"].comes_back()


def test_a_choice_among_several_is_told_once(host: Hosts, capsys: pytest.CaptureFixture[str]) -> None:
    host.has("docker", "podman")
    for _ in range(2):
        chosen.note(chosen.engine("any"))
    assert chosen.noted() == "docker" and os.listdir(host.directory / "lib") == ["x.engine"]
    assert capsys.readouterr().err.count("Docker has the container and keeps it") == 1


def test_an_engine_that_is_gone_is_named_with_the_remedy(host: Hosts) -> None:
    host.has("podman")
    host.notes("docker")
    host.engines["docker"] = FakeDocker(host.directory)
    said = chosen.remedy(chosen.engine("any"))
    assert "Docker has the container" in said and "install it again" in said and "echo podman > " in said
    assert "without the data in volumes" in said
    host.notes("podman")
    assert chosen.remedy(chosen.engine("any")) == ""


class Moved:
    """A package that was declared for Docker and is for Podman now."""

    def __init__(self, host: Hosts, monkeypatch: pytest.MonkeyPatch, volumes: list[str]) -> None:
        import contextlib

        import declared
        import moving

        self.host = host
        host.has("docker", "podman")
        host.notes("docker")
        self.old, self.new = host.engines["docker"], host.engines["podman"]
        self.old.workloads[NAME] = Workload()
        self.new.images.add("docker.io/library/x:1")
        host.engines["podman"].put_command(monkeypatch)  # type: ignore[attr-defined] # of the fakes alone
        path = host.directory / "container.json"
        path.write_text(json.dumps({"container": NAME, "image": "x:1", "options": [], "volumes": volumes, "command": [],
                                    "env": {}, "spec": "f" * 64}))
        for module in (container, declared):
            monkeypatch.setattr(module, "DECLARATION", str(path))
        monkeypatch.setattr(declared, "ENVIRONMENT_FILE", str(host.directory / "x.env"))
        monkeypatch.setattr(container, "Lock", contextlib.nullcontext)
        monkeypatch.setattr(moving, "engine_called", chosen.engine_called)
        monkeypatch.setattr(docker_volumes, "DIRECTORY", str(host.directory / "ours"))
        monkeypatch.setattr(docker_volumes, "SELINUX", str(host.directory / "selinux"))
        is_directory = os.path.isdir
        monkeypatch.setattr(os.path, "isdir", lambda path: path == "/run/systemd/system" or is_directory(path))

    def create(self) -> int:
        return container.create(chosen.engine("podman"))


def test_a_package_that_changes_its_engine_moves_a_container_without_volumes(
    host: Hosts, monkeypatch: pytest.MonkeyPatch,
) -> None:
    moved = Moved(host, monkeypatch, ["/srv:/srv"])
    moved.old.workloads[NAME].is_running = True
    moved.old.workloads[NAME].life = "0"
    assert moved.create() == container.WAITS_FOR_STOP and NAME not in moved.new.workloads
    moved.old.workloads[NAME].is_running = False
    moved.old.workloads[NAME].life = ""
    assert moved.create() == 0
    assert not moved.old.workloads and list(moved.new.workloads) == [NAME] and chosen.noted() == "podman"


def test_a_container_with_volumes_stays_and_the_commands_that_move_it_are_told(
    host: Hosts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    moved = Moved(host, monkeypatch, ["data:/data"])
    moved.old.volumes = {"data": {}}  # type: ignore[attr-defined] # of the fakes alone
    assert moved.create() == 0
    assert list(moved.old.workloads) == [NAME] and not moved.new.workloads and chosen.noted() == "docker"
    said = capsys.readouterr().err
    assert "declared for Podman, but the container stays with Docker, which has the data of its volumes" in said
    assert f"cp -aT /engine/data/_data {host.directory}/ours/data &&\n" in said and "echo podman > " in said


def test_a_container_with_anonymous_volumes_stays(
    host: Hosts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    moved = Moved(host, monkeypatch, [])
    moved.old.workloads[NAME].volumes = [("a" * 64, "/data")]
    assert moved.create() == 0
    assert list(moved.old.workloads) == [NAME] and not moved.new.workloads
    assert "declare names for those first" in capsys.readouterr().err


def test_a_container_stays_while_the_new_engine_does_not_answer(
    host: Hosts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    moved = Moved(host, monkeypatch, [])
    moved.new.goes_away()
    monkeypatch.setenv("PATH", str(host.directory))
    assert moved.create() == 0 and list(moved.old.workloads) == [NAME]
    assert "Podman, which does not answer" in capsys.readouterr().err
    moved.new.comes_back()
