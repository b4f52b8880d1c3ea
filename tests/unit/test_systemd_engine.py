"""An unpacked image is a workload or it is not there, whenever the work was broken off; its output has an end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from engines import Seen, Wanted, systemd
from names import WORKLOAD
from process import Failure

HELPERS = Path(systemd.__file__).parents[1]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> systemd.Systemd:
    monkeypatch.setattr(systemd, "DIRECTORY", str(tmp_path / "images"))
    monkeypatch.setattr(systemd, "UNIT_FILE", str(tmp_path / "unit"))
    monkeypatch.setattr(systemd, "GROUP", str(tmp_path / "group"))
    monkeypatch.setattr(systemd, "DECLARATION", str(tmp_path / "container.json"))
    monkeypatch.setattr(systemd, "is_unified", lambda: True)
    return systemd.Systemd()


def lay(tmp_path: Path, name: str, specification: str = "d" * 64) -> None:
    (tmp_path / "images" / name / "root").mkdir(parents=True)
    if specification:
        (tmp_path / "images" / name / "specification").write_text(specification + "\n")


def test_what_is_not_complete_is_not_there(engine: systemd.Systemd, tmp_path: Path) -> None:
    lay(tmp_path, WORKLOAD + systemd.UNFINISHED)
    lay(tmp_path, WORKLOAD + systemd.GONE)
    assert engine.look(WORKLOAD) is None and engine.peek(WORKLOAD) is None
    lay(tmp_path, WORKLOAD)
    seen = engine.look(WORKLOAD)
    assert seen is not None and (seen.specification, seen.is_running, seen.started) == ("d" * 64, False, 0.0)


def test_an_image_that_cant_be_unpacked_leaves_nothing(engine: systemd.Systemd, tmp_path: Path) -> None:
    lay(tmp_path, WORKLOAD + ".next" + systemd.UNFINISHED)  # of a call that was killed
    (tmp_path / "image.tar").write_bytes(b"no archive")
    (tmp_path / "container.json").write_text(json.dumps({"archive": str(tmp_path / "image.tar"), "systemd": {}}))
    with pytest.raises(Failure, match=r"image\.tar can't be unpacked"):
        engine.make(WORKLOAD + ".next", Wanted("i", True, [], [], [], {}, {}, [], "s"))
    assert list((tmp_path / "images").iterdir()) == []


def test_a_removal_takes_what_is_left_of_broken_off_ones_too(engine: systemd.Systemd, tmp_path: Path) -> None:
    for name in ("", systemd.UNFINISHED, systemd.GONE):
        lay(tmp_path, WORKLOAD + name)
    engine.rename(WORKLOAD, WORKLOAD + ".previous")
    engine.remove(WORKLOAD)
    engine.remove(WORKLOAD + ".previous")
    engine.clear([WORKLOAD, WORKLOAD + ".next", WORKLOAD + ".previous"])
    assert not (tmp_path / "images").exists()


def test_the_output_of_a_program_that_never_ran_has_an_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "output")
    pipe = systemd.Pipe(str(tmp_path / "output"))
    with open(tmp_path / "output", "wb") as writer:
        writer.write(b"words")
    assert pipe.read() == [(1, b"words")] and pipe.read() is None
    pipe.close()
    pipe = systemd.Pipe(str(tmp_path / "output"))
    pipe.begins(Seen(False, False, "s"))
    assert pipe.read() is None
    pipe.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="a network of its own needs root")
def test_a_socket_of_another_network_leads_nobody_back() -> None:
    script = ("import own_sockets, socket, sys; other = socket.socket(fileno=int(sys.argv[1])); own = socket.socket(); "
              "print(own_sockets.is_elsewhere(other), own_sockets.is_elsewhere(own))")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = subprocess.run(["unshare", "--net", sys.executable, "-c", script, str(listener.fileno())], cwd=HELPERS, text=True,
                               pass_fds=[listener.fileno()], capture_output=True, check=True)
    assert found.stdout == "True False\n"
