"""What administrators may rely on of the journal's records of wakes."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from types import ModuleType

import pytest
import record as helper
from hypothesis import given
from hypothesis import strategies as st

WAKE = {"begun": 99.95, "connected": 99.9, "client": "192.0.2.7", "told": 99.912, "started": 100.102, "ready": 100.142,
        "answered": 100.174}


def parse(data: bytes) -> dict[str, str]:
    """Return fields as the journal reads them."""
    found = {}
    while data:
        line, _, rest = data.partition(b"\n")
        key, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack_from("<Q", rest)
            value, rest = rest[8:8 + length], rest[8 + length + 1:]
        found[key.decode()] = value.decode()
        data = rest
    return found


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "journal"))
    listener.settimeout(5)
    monkeypatch.setattr(helper, "JOURNAL", str(tmp_path / "journal"))
    return listener


@pytest.fixture
def record() -> ModuleType:
    return helper


def test_a_wake_is_one_record_with_a_sentence_and_a_number_for_each_phase(record: ModuleType, journal: socket.socket) -> None:
    record.woken(WAKE)
    assert parse(journal.recv(65536)) == {
        "MESSAGE": "woken by 192.0.2.7 in 274 ms (queued 12, engine 190, ready 40, first byte 32)",
        "MESSAGE_ID": "03eb855e60674ca096582626136989ec", "PRIORITY": "6", "SYSLOG_IDENTIFIER": "ondemand-x",
        "ONDEMAND_NAME": "x", "ONDEMAND_UNIT": "ondemand-x.service", "ONDEMAND_CLIENT": "192.0.2.7",
        "ONDEMAND_QUEUED_MS": "12", "ONDEMAND_ENGINE_START_MS": "190", "ONDEMAND_READY_MS": "40",
        "ONDEMAND_FIRST_BYTE_MS": "32", "ONDEMAND_TOTAL_MS": "274"}


def test_a_failed_wake_is_a_record_with_its_reason_and_how_many_failed_in_a_row(
    record: ModuleType, journal: socket.socket,
) -> None:
    record.failed({key: WAKE[key] for key in ("begun", "connected", "client", "told")}, "no image\nat all", 3)
    assert parse(journal.recv(65536)) == {
        "MESSAGE": "the wake by 192.0.2.7 failed, 3 in a row", "MESSAGE_ID": "44e9934b34144a52873bc6774228defd", "PRIORITY": "4",
        "ONDEMAND_REASON": "no image\nat all", "ONDEMAND_FAILURES": "3", "SYSLOG_IDENTIFIER": "ondemand-x", "ONDEMAND_NAME": "x",
        "ONDEMAND_UNIT": "ondemand-x.service", "ONDEMAND_CLIENT": "192.0.2.7", "ONDEMAND_QUEUED_MS": "12"}


@pytest.mark.parametrize("left_out", [{}, {"connected": 99.913}], ids=["nobody", "who connected after the engine was told"])
def test_who_did_not_wake_the_container_is_not_named(
    record: ModuleType, journal: socket.socket, left_out: dict[str, float],
) -> None:
    record.woken({"begun": 99.9, "told": 99.912, "started": 100.1, "ready": 100.142, **left_out})
    fields = parse(journal.recv(65536))
    assert fields["MESSAGE"] == "woken without a client in 242 ms (queued 12, engine 188, ready 42)"
    assert "ONDEMAND_CLIENT" not in fields and "ONDEMAND_FIRST_BYTE_MS" not in fields


@pytest.mark.parametrize("words", [{"client": "x"}, {"client": "a b c"}, {"client": "a soon", "answered": "soon"},
                                   {"client": "a nan", "answered": "inf"}, {"client": "\x1b[1m 2.0", "answered": "-1"}])
def test_wrong_words_of_the_proxy_are_left_out(record: ModuleType, words: dict[str, str]) -> None:
    told = {"told": 1.0, "started": 2.0, "ready": 3.0}
    found = record.steps({**told, **words})
    assert found.pop("begun") > 0 and found == told


def test_the_proxy_tells_who_woke_and_when_it_was_answered(record: ModuleType, journal: socket.socket) -> None:
    told = {"told": 99.912, "started": 100.102, "ready": 100.142, "client": "192.0.2.7 99.9", "answered": "100.174"}
    account = record.Account(None, None)
    account.wake(told)
    assert parse(journal.recv(65536))["MESSAGE"] == (
        "woken by 192.0.2.7 in 274 ms (queued 12, engine 190, ready 40, first byte 32)")
    account.end("it ended with status 1", 2)
    assert parse(journal.recv(65536))["MESSAGE"] == "the wake by 192.0.2.7 failed, 2 in a row"
    account.counted("nonsense")
    assert account.due() is None


def test_without_a_journal_nothing_else_fails(
    record: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(record, "JOURNAL", str(tmp_path / "nowhere"))
    record.woken(WAKE)


@given(st.floats(0, 1e6), st.lists(st.floats(0, 1e4), min_size=4, max_size=4))
def test_the_phases_add_up_to_the_whole(begin: float, lengths: list[float]) -> None:
    wake, now = {"begun": 0.0, "connected": begin}, begin
    for step, length in zip(("told", "started", "ready", "answered"), lengths, strict=True):
        now += length
        wake[step] = now
    assert sum(milliseconds for _, milliseconds in helper.phases(wake)) == round(1000 * (now - begin))


@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True), st.text(st.characters(exclude_categories=["Cs"]))))
def test_every_text_stands_in_the_record_as_it_is(fields: dict[str, str]) -> None:
    assert parse(helper.serialized(list(fields.items()))) == fields
