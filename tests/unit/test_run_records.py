"""What users may rely on of the records of wakes: what `run` tells the journal of each, and of failures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import control
import pytest
import steps
from run_host import ENGINES, Host, until


@pytest.fixture(params=ENGINES)
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    found = Host(request.param(tmp_path), tmp_path, monkeypatch)
    yield found
    found.close()


@pytest.fixture
def proxied(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host on which the helper that connects is heard as the proxy too."""
    spoken = ("listens", "failed", "idle", "wake", "client", "answered")
    monkeypatch.setattr(control, "_allowed", lambda _: spoken)
    return host


def test_each_wake_is_recorded_with_its_own_client_those_of_a_paused_container_too(proxied: Host) -> None:
    def script(client: Any) -> None:
        begin = time.clock_gettime(time.CLOCK_BOOTTIME)
        client.tell(f"client 192.0.2.1 {begin - begin / 2:.4f}")
        client.tell("listens")
        until(client, "ready")
        client.tell(f"answered {time.clock_gettime(time.CLOCK_BOOTTIME)}")
        first = proxied.recorded()
        assert first["MESSAGE"].startswith("woken by 192.0.2.1 in ") and int(first["ONDEMAND_TOTAL_MS"]) >= begin / 3 * 1000
        client.tell("idle")
        until(client, "paused")
        slept = proxied.recorded()
        assert slept["ONDEMAND_HOW"] == "paused" and "ONDEMAND_GIVEN_BACK_BYTES" not in slept
        client.tell(f"client 192.0.2.2 {time.clock_gettime(time.CLOCK_BOOTTIME)}")
        client.tell("wake")
        until(client, "ready")
        client.tell("idle")  # before anything was answered
        until(client, "paused")
        second = proxied.recorded()
        assert second["ONDEMAND_CLIENT"] == "192.0.2.2" and "ONDEMAND_FIRST_BYTE_MS" not in second
        proxied.engine.exits(0)

    assert proxied.run(script, "--pause") == 0


def test_a_wake_of_which_no_client_is_known_is_recorded_after_a_moment(
    host: Host, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steps, "CLIENT_PATIENCE", 0.01)

    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        assert host.recorded()["MESSAGE"].startswith("woken without a client in ")
        host.engine.exits(0)

    assert host.run(script) == 0


def test_a_failed_wake_is_recorded_with_what_was_said_of_it(proxied: Host) -> None:
    def script(client: Any) -> None:
        client.tell(f"client 192.0.2.1 {time.clock_gettime(time.CLOCK_BOOTTIME) / 2:.4f}")
        until(client, "started")
        proxied.engine.says(b"no disk\n", 2)
        proxied.engine.exits(3)

    assert proxied.run(script) == 3
    record = proxied.recorded()
    assert record["MESSAGE"] == "the wake by 192.0.2.1 failed" and record["ONDEMAND_FAILURES"] == "1"
    assert record["ONDEMAND_REASON"] == 'the container exited with status 3 before it was ready; last output: "no disk"'


def test_a_container_that_was_ready_and_ends_soon_is_recorded_as_both(host: Host) -> None:
    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        host.engine.exits(3)

    assert host.run(script) == 3
    assert host.recorded()["MESSAGE"].startswith("woken ")
    assert host.recorded()["ONDEMAND_REASON"] == "the container exited with status 3 soon after it was ready"


def test_what_sleeping_gives_back_is_recorded(host: Host) -> None:
    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        client.tell("idle")

    assert host.run(script) == 0
    assert host.recorded()["MESSAGE"].startswith("woken ")
    slept = host.recorded()
    assert slept["ONDEMAND_HOW"] == "idle" and slept["MESSAGE"].startswith("asleep after ")
    assert int(slept["ONDEMAND_AWAKE_MS"]) >= 0
    if host.engine.engine().word != "other":  # which tells of no process
        assert 10_000 < int(slept["ONDEMAND_GIVEN_BACK_BYTES"]) < 20 << 20 and "MiB of memory given back" in slept["MESSAGE"]


def test_a_container_that_ends_by_itself_or_is_stopped_gives_back_what_nobody_measured(host: Host) -> None:
    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        host.term()

    assert host.run(script) == 0
    assert host.recorded()["MESSAGE"].startswith("woken ")
    slept = host.recorded()
    assert slept["ONDEMAND_HOW"] == "ended" and "ONDEMAND_GIVEN_BACK_BYTES" not in slept
