"""No reader of what others wrote ends in a traceback, or takes more time or memory than an input of its size may."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzzing import READERS, Broken, Reader, corpus, run, tried

TOP = Path(__file__).parents[2]
KEPT = [(reader, path) for reader in READERS.values() for path in corpus(reader)]


@pytest.fixture(autouse=True)
def measured() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize(("reader", "path"), KEPT, ids=[f"{reader.name}-{path.name}" for reader, path in KEPT])
def test_what_once_broke_a_reader_is_read_or_told(reader: Reader, path: Path) -> None:
    tried(reader, path.read_bytes())


@pytest.mark.parametrize("name", READERS)
def test_some_new_inputs_break_no_reader(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(READERS[name], 1, 60) is None, capsys.readouterr().err


def endless(data: bytes) -> None:
    while data:
        pass


@pytest.mark.parametrize(("read", "message"), [
    (lambda data: {}[data], "KeyError"), (endless, "no end after"), (lambda data: bytearray(300 * 2**20), "300 MiB for 1 bytes")])
def test_a_reader_that_breaks_is_found(read: object, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzzing.SECONDS", 0.5)
    with pytest.raises(Broken, match=message):
        tried(Reader("x", read, ()), b"x")  # type: ignore[arg-type] # of several kinds


def test_the_command_prints_its_seed_and_ends_in_time() -> None:
    done = subprocess.run([sys.executable, TOP / "tools/fuzz", "--seconds", "1", "--seed", "7", "environment"], text=True,
                          capture_output=True, timeout=60)
    assert (done.returncode, done.stdout.splitlines()[0], done.stderr) == (0, "seed 7", "")
    done = subprocess.run([sys.executable, TOP / "tools/fuzz", "nothing"], text=True, capture_output=True)
    assert done.returncode == 2 and "there is no reader nothing; there are deb, rpm," in done.stderr
