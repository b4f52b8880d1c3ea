"""What users may rely on of Docker's named volumes: new ones outlive a prune, and those that exist are never changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from engines import docker_volumes
from engines.docker import Docker
from fake_docker import FakeDocker
from process import Failure

from ondemand_pkg.engines.docker import DOCKER

DECLARED = ["data:/data", "/srv/x:/x:ro", "cache:/cache:nocopy"]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDocker]:
    monkeypatch.setattr(docker_volumes, "DIRECTORY", str(tmp_path / "lib/volumes"))
    monkeypatch.setattr(docker_volumes, "SELINUX", str(tmp_path / "selinux"))
    engine = FakeDocker(tmp_path)
    yield engine
    engine.close()


def ensure(engine: FakeDocker) -> None:
    docker_volumes.ensure(cast(Docker, engine.engine()).api, DECLARED)


def advice(engine: FakeDocker, *anonymous: str) -> str:
    return engine.engine().advice_on_volumes(DECLARED, ["ondemand-x"], anonymous)


def test_scripts_and_helpers_know_the_same_directory() -> None:
    assert DOCKER.volumes == docker_volumes.DIRECTORY


def test_those_that_do_not_exist_keep_their_data_outside_of_the_engine(engine: FakeDocker, tmp_path: Path) -> None:
    directory = tmp_path / "lib/volumes"
    for _ in range(2):
        ensure(engine)
        assert engine.volumes == {name: {"type": "none", "o": "bind", "device": f"{directory}/{name}"}
                                  for name in ("data", "cache")}
        assert sorted(os.listdir(directory)) == ["cache", "data"] and stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert advice(engine) == ""


def test_those_that_exist_are_named_and_never_changed(engine: FakeDocker, tmp_path: Path) -> None:
    engine.volumes = {"data": {}, "cache": {"type": "tmpfs"}}
    ensure(engine)
    assert engine.volumes == {"data": {}, "cache": {"type": "tmpfs"}} and not (tmp_path / "lib").exists()
    assert "made them so that they stay: data; " in advice(engine)
    assert "cp -aT /engine/data/_data " in advice(engine) and "docker volume rm data " in advice(engine)
    assert "docker" not in advice(engine, "a" * 64).partition("prune --all' ")[2]


def test_what_was_left_of_a_deleted_volume_is_used_again(engine: FakeDocker, tmp_path: Path) -> None:
    ensure(engine)
    (tmp_path / "lib/volumes/data/kept").touch()
    engine.volumes.clear()
    ensure(engine)
    assert set(engine.volumes) == {"data", "cache"} and (tmp_path / "lib/volumes/data/kept").exists()


def test_with_selinux_they_are_the_engines_own(engine: FakeDocker, tmp_path: Path) -> None:
    (tmp_path / "selinux").touch()
    ensure(engine)
    engine_of_plain, engine.volumes = engine.volumes, {"data": {}}
    assert engine_of_plain == {} and advice(engine) == ""


def test_where_they_can_t_be_created_the_place_is_named(engine: FakeDocker, tmp_path: Path) -> None:
    (tmp_path / "lib").touch()
    with pytest.raises(Failure, match="the volume cache can't be created in .*/lib/volumes/cache: "):
        ensure(engine)
