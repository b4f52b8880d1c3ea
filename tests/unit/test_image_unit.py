"""The unit of an unpacked image says what the declaration and the image say, and nothing of it is taken for something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engines import image_unit
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
    ({}, {}, "names no program"), ({**IMAGE, "User": "web"}, {}, "runs as the user 'web'"),
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
