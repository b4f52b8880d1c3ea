"""What users may rely on of `ondemand report`, told from what the journal holds."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondemand_host import main, report_page, services, systemd
from ondemand_host.report import Awake, Report, history
from ondemand_host.services import Service, Survey
from ondemand_host.systemd import Record, Sleep

DAY = 86400.0
MIB = 2**20


def wake(when: float, total: int = 250, client: str | None = "192.0.2.7", name: str = "web") -> Record:
    return Record(name, when, False, client, total=total)


def sleep(when: float, awake: float, given_back: int | None = None, name: str = "web") -> Sleep:
    return Sleep(name, when, "idle", awake, given_back)


def plain(text: str, *_: object, **__: object) -> str:
    return text


def test_a_service_is_awake_from_its_wake_to_the_end_that_was_written_down() -> None:
    found = history("web", [wake(100.25), wake(300.25)], [sleep(200, 99.75, MIB)], 400, runs=True)
    assert found.awake == (Awake(100, 200), Awake(300, 400))
    assert found.given_back == ((200, 300, MIB),)
    assert found.seconds_awake(0, 400) == 200 and found.mean_given_back(0, 400) == MIB / 4


def test_an_end_that_nobody_wrote_down_is_not_guessed() -> None:
    found = history("web", [wake(100.25), wake(300.25)], [], 400, runs=False)
    assert found.awake == (Awake(100, None), Awake(300, None)) and found.seconds_awake(0, 400) == 0


def test_a_wake_before_the_report_is_known_from_its_end() -> None:
    found = history("web", [], [sleep(50, 80)], 400, runs=False)
    assert found.awake == (Awake(-30, 50),) and found.seconds_awake(0, 400) == 50


def test_sleep_that_lasts_gives_back_until_now() -> None:
    found = history("web", [wake(100)], [sleep(200, 100, 2 * MIB)], 400, runs=False)
    assert found.given_back == ((200, 400, 2 * MIB),)


def test_who_woke_it_most_comes_first() -> None:
    found = history("web", [wake(1, client="b"), wake(2, client="a"), wake(3, client="b"), wake(4, client=None)], [], 9, False)
    assert found.wakers() == [("b", 2), ("a", 1), ("no client", 1)]


MOMENTS = st.floats(0, 1000)


@given(st.lists(MOMENTS), st.lists(st.tuples(MOMENTS, st.floats(0, 500), st.none() | st.integers(0, MIB))), st.booleans())
def test_whatever_the_journal_holds_no_service_is_awake_for_longer_than_the_report(
    wakes: list[float], sleeps: list[tuple[float, float, int | None]], runs: bool,
) -> None:
    ends = [sleep(*one) for one in sorted(sleeps, key=lambda one: one[0])]
    found = history("web", [wake(when, 0) for when in sorted(wakes)], ends, 1000, runs)
    assert all(one.end is None or one.begin <= one.end for one in found.awake)
    assert all(since <= until for since, until, _ in found.given_back)
    assert found.mean_given_back(0, 1000) <= MIB
    report_page.page(Report(0, 1000, (found,)), "host")


HOSTILE = "a<script>\x1b]0;\u202e"


def test_a_page_needs_nothing_from_elsewhere_and_shows_nobodys_text_as_markup() -> None:
    records = [wake(100, client=HOSTILE), Record(HOSTILE, 150, True, None, HOSTILE)]
    found = history(HOSTILE, records, [sleep(200, 99, MIB)], 400, False)
    text = report_page.page(Report(0, 400, (found,)), HOSTILE)
    assert not re.search(r"<script|<link|<img|src=|href=|url\(|@import|https?:|[\x1b\u202e]", text)

    class Reader(HTMLParser):
        tags: set[str] = set()

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.tags.add(tag)

    Reader().feed(text)
    assert {"svg", "rect", "circle", "polygon", "table"} <= Reader.tags


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal with a day of one service, of a host that has another one too."""
    monkeypatch.setattr(systemd, "require_systemd", lambda: None)
    monkeypatch.setattr(systemd, "journal_is_readable", lambda: True)
    monkeypatch.setattr(systemd, "output", lambda argv: f"  UNIX seconds: @{time.time() - DAY}\n")
    now = time.time()
    monkeypatch.setattr(systemd, "history", lambda names, since: ([wake(now - 3600)], [sleep(now - 1800, 1800, 64 * MIB)]))
    asleep = tuple(Service(name, "asleep", (), 0) for name in ("db", "web"))
    monkeypatch.setattr(services, "survey", lambda wanted: Survey(asleep))


@pytest.mark.usefixtures("journal")
def test_the_table_has_every_service_and_the_sum(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["report"]) == 0
    head, db, web, total = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["NAME", "WAKES", "FAILED", "AWAKE"] and db.split()[:3] == ["db", "0", "0"]
    assert web.split() == ["web", "1", "0", "30min", "2.1%", "250ms", "250ms", "192.0.2.7", "(1)", "1.3", "MiB"]
    assert "sleep gave back 1.3 MiB of memory on average" in total


@pytest.mark.usefixtures("journal")
def test_a_page_is_written_where_it_is_wanted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "page.html"
    assert main.main(["report", "-o", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}\n" and path.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.usefixtures("journal")
def test_a_page_that_cant_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["report", "-o", str(tmp_path / "none/page.html")]) == 1
    assert f"error: {tmp_path}/none/page.html: No such file or directory" in capsys.readouterr().err


@pytest.mark.usefixtures("journal")
@pytest.mark.parametrize(("said", "message"), [("nonsense", "is not a time; write one such as"),
                                               ("UNIX seconds: @9999999999", "is not in the past; write a time such as")])
def test_a_time_that_is_none_or_to_come_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: str, message: str,
) -> None:
    monkeypatch.setattr(systemd, "output", lambda argv: said)
    assert main.main(["report", "--since", "soon"]) == 1
    assert f"error: --since: 'soon' {message}" in capsys.readouterr().err
