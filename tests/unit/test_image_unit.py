"""The unit of an unpacked image says what the declaration and the image say, and nothing of it is taken for something else."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import programs
import pytest
from engines import image_unit, image_user, image_volumes
from process import Failure

PLAIN: dict[str, Any] = {"title": "x", "entrypoint": None, "command": [], "workdir": "", "memory": None, "cpus": None,
                         "read_only": False, "tmpfs": [], "cap_drop": [], "cap_add": [], "stop_timeout": 10}
IMAGE: dict[str, Any] = {"Cmd": ["/serve"]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/passwd").write_text("web:x:101:102::/srv:/bin/sh\nroot:x:0:0::/roots:/bin/sh\n")
    return tmp_path


def text(root: Path, image: dict[str, Any] = IMAGE, environment: dict[str, str] | None = None, **declared: Any) -> list[str]:
    found = {} if environment is None else environment
    return image_unit.unit({**PLAIN, **declared}, image, found, str(root), "/there", "/net", "p").split("\n")


@pytest.mark.parametrize(("image", "declared", "command"), [
    ({"Cmd": ["/serve"]}, {}, '":/serve"'),
    ({"Entrypoint": ["/entry"], "Cmd": ["a b"]}, {}, '":/entry" "a b"'),
    ({"Entrypoint": ["/entry"], "Cmd": ["a"]}, {"command": ["b"]}, '":/entry" "b"'),
    ({"Entrypoint": ["/entry"], "Cmd": ["a"]}, {"entrypoint": ["/mine"]}, '":/mine"'),
    ({"Entrypoint": ["/entry"]}, {"entrypoint": [], "command": ["/b"]}, '":/b"'),
    ({"Cmd": ["/x", '%n "$HOME" \\n;', "a\nb", ""]}, {}, '":/x" "%%n \\"$HOME\\" \\\\n;" "a\\x0ab" ""'),
])
def test_the_program_is_the_one_that_an_engine_would_run(root: Path, image: dict[str, Any], declared: dict[str, Any],
                                                         command: str) -> None:
    assert f"ExecStart={command}" in text(root, image, **declared)


@pytest.mark.parametrize(("image", "declared", "told"), [
    ({}, {}, "names no program"), ({**IMAGE, "User": "nobody"}, {}, "has no user called 'nobody'; declare 'user'"),
    (IMAGE, {"user": "web:none"}, "has no group called 'none'"),
    ({"Cmd": ["-x"]}, {}, "can't run a program called '-x'"), ({**IMAGE, "StopSignal": "TERM\nX=1"}, {}, "stop signal"),
    (IMAGE, {"workdir": "/a\nUser=0"}, "can't be in a unit file")])
def test_what_systemd_cant_run_is_told(root: Path, image: dict[str, Any], declared: dict[str, Any], told: str) -> None:
    with pytest.raises(Failure, match=told):
        text(root, image, **declared)


def test_keys_become_directives(root: Path) -> None:
    found = text(root, {**IMAGE, "StopSignal": "SIGQUIT", "WorkingDir": "/a%b"}, memory=1024, cpus=1.5, read_only=True,
                 tmpfs=["/tmp:size=1m"], cap_drop=["ALL"], cap_add=["CHOWN"], stop_timeout=3)
    assert {"MemoryMax=1024", "CPUQuota=150%", "ReadOnlyPaths=+/", "CapabilityBoundingSet=CAP_CHOWN", "KillSignal=SIGQUIT",
            "WorkingDirectory=/a%%b", "TimeoutStopSec=3"} <= set(found)
    assert 'TemporaryFileSystem="/tmp":rw,nosuid,nodev,noexec,mode=1777,size=1m' in found
    assert (root / "root/a%b").is_dir()


def test_the_environment_is_what_docker_gives_and_survives_quoting(root: Path) -> None:
    environment = {"A": 'x" $HOME `\\'}
    text(root, environment=environment)
    assert environment == {"A": 'x" $HOME `\\', "PATH": image_unit.PATH, "HOME": "/roots"}
    assert image_unit.environment_file({"A": 'x" $HOME `\\', "B": "two\nlines"}) == 'A="x\\" \\$HOME \\`\\\\"\nB="two\nlines"\n'


@pytest.mark.parametrize(("said", "number", "group", "others", "home"), [
    ("", 0, 0, [], "/roots"), ("root", 0, 0, [], "/roots"), ("web", 101, 102, [7], "/srv"), ("101", 101, 102, [7], "/srv"),
    ("web:root", 101, 0, [], "/srv"), ("55", 55, 0, [], "/"), ("55:66", 55, 66, [], "/"), ("101:more", 101, 7, [], "/srv")])
def test_a_user_is_who_docker_takes_it_for(root: Path, said: str, number: int, group: int, others: list[int], home: str) -> None:
    (root / "root/etc/group").write_text("root:x:0:\nweb:x:102:web\nmore:x:7:a,web\nspoilt:x:y:web\n")
    found = image_user.user_of(str(root / "root"), said)
    assert (found.number, found.group, list(found.others), found.home) == (number, group, others, home)


def test_another_user_than_root_begins_as_one_who_can_become_it(root: Path) -> None:
    environment: dict[str, str] = {}
    found = text(root, {**IMAGE, "User": "web"}, environment, cap_drop=["ALL"], cap_add=["CHOWN"])
    assert "CapabilityBoundingSet=CAP_CHOWN CAP_SETGID CAP_SETPCAP CAP_SETUID" in found and environment["HOME"] == "/srv"
    (line,) = [line for line in found if line.startswith("ExecStart=")]
    assert line == ('ExecStart=":/.ondemand/loader" "--library-path" "/.ondemand" "/.ondemand/setpriv" "--reuid=101" '
                    '"--regid=102" "--groups=102" "--inh-caps=-all" "--bounding-set=-all,+chown" "--" "/serve"')
    assert {"loader", "setpriv", "env"} <= {path.name for path in (root / "user").iterdir()}


def test_nothing_of_the_image_reaches_what_becomes_another_user(root: Path) -> None:
    environment = {"LD_PRELOAD": "/evil so", "GLIBC_TUNABLES": "x", "A": "b"}
    found = text(root, {**IMAGE, "User": "web"}, environment)
    assert {"LD_PRELOAD", "GLIBC_TUNABLES"}.isdisjoint(environment) and environment["A"] == "b"
    (line,) = [line for line in found if line.startswith("ExecStart=")]
    assert line.endswith('"--" "/.ondemand/loader" "--library-path" "/.ondemand" "/.ondemand/env" "GLIBC_TUNABLES=x" '
                         '"LD_PRELOAD=/evil so" "/serve"')
    assert {"BindReadOnlyPaths=/there/user/preload:/etc/ld.so.preload",
            "BindReadOnlyPaths=/there/user/nsswitch:/etc/nsswitch.conf"} <= set(found)
    assert (root / "user/preload").read_text() == "" and "systemd" not in (root / "user/nsswitch").read_text()
    environment = {"LD_PRELOAD": "/own"}
    text(root, IMAGE, environment)
    assert environment["LD_PRELOAD"] == "/own"  # of root, whom nobody has to become


def test_an_image_that_preloads_libraries_is_refused_to_another_user(root: Path) -> None:
    (root / "root/etc/ld.so.preload").write_text("/evil.so\n")
    with pytest.raises(Failure, match=r"ld\.so\.preload.*declare user = \"root\", or use an engine"):
        text(root, {**IMAGE, "User": "web"})
    text(root)


@pytest.mark.parametrize("listed", ["", "\tlibc.so.6 => not found\n"])
def test_a_program_whose_libraries_are_not_known_is_not_brought(root: Path, monkeypatch: pytest.MonkeyPatch, listed: str) -> None:
    monkeypatch.setattr(programs, "said", lambda *_: listed)
    with pytest.raises(Failure, match="is linked with can't be found; see '.*--list"):
        text(root, {**IMAGE, "User": "web"})


def test_a_list_of_users_that_is_no_file_is_no_list(root: Path) -> None:
    (root / "root/etc/passwd").unlink()
    os.mkfifo(root / "root/etc/passwd")
    assert image_user.user_of(str(root / "root"), "7").number == 7


@pytest.fixture
def volumes(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(image_volumes, "DIRECTORY", str(root / "volumes"))
    monkeypatch.setattr(image_volumes, "OF_ENGINES", [("docker", str(root / "docker/{}/_data"))])
    (root / "root/var/data").mkdir(parents=True)
    (root / "root/var/data/seed").write_text("1")
    return root / "volumes"


def mount(root: Path, *declared: str, is_read_only: bool = False) -> list[str]:
    return image_volumes.mount(declared, str(root / "root"), is_read_only)


def test_volumes_become_mounts_and_a_new_one_has_the_images_files(root: Path, volumes: Path) -> None:
    host = root / "host"
    assert mount(root, "data:/var/data", f"{host}:/mnt/x:ro", is_read_only=True) == [
        f'BindPaths="{volumes}/data":"/var/data"', 'ReadWritePaths="+/var/data"', f'BindReadOnlyPaths="{host}":"/mnt/x"']
    assert (volumes / "data/seed").read_text() == "1" and host.is_dir() and (root / "root/mnt/x").is_dir()
    (volumes / "data/seed").write_text("2")
    mount(root, "data:/var/data")
    assert (volumes / "data/seed").read_text() == "2"
    mount(root, "empty:/var/data:nocopy")
    assert not list((volumes / "empty").iterdir())


def test_a_volume_that_was_about_to_be_filled_is_filled_from_the_beginning(root: Path, volumes: Path) -> None:
    unfinished = volumes / ("data" + image_volumes.UNFINISHED)
    unfinished.mkdir(parents=True)
    (unfinished / "half").touch()
    mount(root, "data:/var/data")
    assert [path.name for path in (volumes / "data").iterdir()] == ["seed"] and not unfinished.exists()
    unfinished.mkdir()
    image_volumes.clear()
    assert not unfinished.exists() and (volumes / "data").exists()


def test_a_volume_leads_nowhere_but_into_the_image(root: Path, volumes: Path) -> None:
    (root / "root/out").symlink_to("/../../../deep")
    assert mount(root, "data:/out/place") == [f'BindPaths="{volumes}/data":"/deep/place"']
    (root / "root/file").touch()
    (root / "root/top").symlink_to("/")
    for place in ("/file/place", "/file", "/top"):
        with pytest.raises(Failure, match="has no place in the image"):
            mount(root, "new:" + place)
    assert not (volumes / "new").exists()


def test_what_is_made_on_the_host_is_roots_alone_to_write(root: Path, volumes: Path) -> None:
    mask = os.umask(0)
    try:
        mount(root, f"{root}/a/b/c:/x", "data:/var/data")
    finally:
        os.umask(mask)
    assert [stat.S_IMODE((root / path).stat().st_mode) for path in ("a", "a/b", "a/b/c", "volumes")] == [0o755] * 3 + [0o700]


def test_a_volume_that_is_there_stays_the_same_directory_though_it_is_empty(root: Path, volumes: Path) -> None:
    (volumes / "data").mkdir(parents=True)
    before = (volumes / "data").stat().st_ino
    mount(root, "data:/var/data")
    assert (volumes / "data").stat().st_ino == before and not list((volumes / "data").iterdir())


def test_a_file_of_the_host_gets_a_place_of_its_kind(root: Path, volumes: Path) -> None:
    (root / "conf").touch()
    mount(root, f"{root}/conf:/etc/conf:ro")
    assert (root / "root/etc/conf").is_file()


def test_data_that_an_engine_has_are_not_replaced_by_an_empty_volume(root: Path, volumes: Path) -> None:
    (root / "docker/data/_data").mkdir(parents=True)
    mount(root, "data:/var/data")
    image_volumes.forget(str(volumes / "data"))
    (root / "docker/data/_data/file").touch()
    with pytest.raises(Failure, match="docker has data in its volume data, and the service does not start without them"):
        mount(root, "data:/var/data")
    assert not (volumes / "data").exists()
