"""What users may rely on of services that stay awake in certain hours."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import hours
import pytest
import relay
import relay_life
from carriers import Carrier
from hypothesis import given
from hypothesis import strategies as st

from ondemand_pkg.contents.declaration_file import as_toml
from ondemand_pkg.contents.helper_files import modules, programs
from ondemand_pkg.contents.units import units
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.errors import DeclarationError
from ondemand_pkg.model import Container

WEB = '[container.web]\nimage = "nginx:1"\nversion = "1"\n'
PORTS = 'ports = ["80:80"]\n'
IDLE = 'idle = "10min"\n'
WORK = 'keep_awake = "Mon..Fri 08:00..18:00"\n'
BERLIN = ZoneInfo("Europe/Berlin")


def declared(tmp_path: Path, text: str) -> Container:
    path = tmp_path / "site.toml"
    path.write_text(text)
    return next(one for one in read([str(path)]) if one.name == "web")


@pytest.fixture(scope="module", autouse=True)
def _zone() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def left(written: str | list[str], moment: str, fold: int = 0) -> float:
    """Return how many minutes some hours last from a moment of the clock in Berlin on."""
    several = [hours.parse(one) for one in ([written] if isinstance(written, str) else written)]
    return hours.seconds_left(several, datetime.fromisoformat(moment).replace(tzinfo=BERLIN, fold=fold).timestamp()) / 60


def test_the_relay_is_told_the_hours_and_a_timer_wakes_it_when_they_begin(tmp_path: Path) -> None:
    keys = 'wake_at = "06:00"\nkeep_awake = ["Mon..Fri 08:00..18:00", "sunday 22:00..02:00"]\n'
    container = declared(tmp_path, WEB + PORTS + IDLE + keys)
    found = units(container)
    said = '--idle 600 --keep-awake "Mon,Tue,Wed,Thu,Fri 08:00..18:00" --keep-awake "Sun 22:00..02:00" 80'
    assert re.search(f"^ExecStart=.* {re.escape(said)}$", found["ondemand-web.service"], re.MULTILINE)
    events = re.findall("^OnCalendar=(.*)$", found["ondemand-wake@web.timer"], re.MULTILINE)
    assert events == ["06:00", "Mon,Tue,Wed,Thu,Fri 08:00", "Sun 22:00"]
    assert "Wants=ondemand-wake@web.timer\n" in found["ondemand-web.socket"]
    assert "waker" in programs(container) and "hours.py" in modules(container)


def test_what_has_no_such_hours_pays_nothing_for_them(tmp_path: Path) -> None:
    container = declared(tmp_path, WEB + PORTS + IDLE)
    assert "hours.py" not in modules(container) and "waker" not in programs(container)
    assert "keep-awake" not in units(container)["ondemand-web.service"]


@pytest.mark.parametrize("value", ["Mon..Fri 08:00..18:00", "Sat,Sun 8:00..18:00", "00:00..24:00",
                                   "MONDAY,wed..Fri 22:00..06:00"])
def test_what_the_unit_says_is_what_the_relay_reads(tmp_path: Path, value: str) -> None:
    (found,) = declared(tmp_path, WEB + PORTS + IDLE + f'keep_awake = "{value}"\n').keep_awake
    assert declared(tmp_path, as_toml(declared(tmp_path, (tmp_path / "site.toml").read_text()))).keep_awake == (found,)
    days, begin, end = hours.parse(str(found))
    assert (begin, end) == (found.begin, found.end) and days == (found.days or tuple(range(7)))


@pytest.mark.parametrize(("written", "moment", "minutes"), [
    ("Mon,Tue 08:00..18:00", "2026-03-02 08:00", 600),  # a Monday
    ("Mon,Tue 08:00..18:00", "2026-03-02 07:59:59", 0), ("Mon,Tue 08:00..18:00", "2026-03-02 17:59", 1),
    ("Mon,Tue 08:00..18:00", "2026-03-02 18:00", 0), ("Mon,Tue 08:00..18:00", "2026-03-04 12:00", 0),
    ("08:00..18:00", "2026-03-04 12:00", 360),
    ("Fri 22:00..06:00", "2026-03-06 23:00", 420), ("Fri 22:00..06:00", "2026-03-07 05:00", 60),
    ("Fri 22:00..06:00", "2026-03-06 05:00", 0), ("Fri 22:00..06:00", "2026-03-07 22:00", 0),
    ("Sun 22:00..06:00", "2026-03-09 05:00", 60),
    ("Sat 00:00..24:00", "2026-03-07 00:00", 1440), ("Sat 00:00..24:00", "2026-03-08 00:00", 0),
    (["Mon 08:00..12:00", "Mon 12:00..18:00"], "2026-03-02 11:00", 420),
    (["Mon 08:00..12:00", "Mon 13:00..18:00"], "2026-03-02 11:00", 60)])
def test_hours_are_those_of_the_clock_also_over_midnight(written: str | list[str], moment: str, minutes: float) -> None:
    assert left(written, moment) == pytest.approx(minutes)


@pytest.mark.parametrize(("written", "moment", "fold", "minutes"), [
    ("Sat 22:00..06:00", "2026-03-28 23:00", 0, 360),  # the clock goes from 2:00 to 3:00
    ("Sun 01:00..02:30", "2026-03-29 03:00", 0, 0), ("Sun 02:30..03:30", "2026-03-29 03:00", 0, 30),
    ("Sat 22:00..06:00", "2026-10-24 23:00", 0, 480),  # it shows 2:00 to 3:00 twice
    ("Sun 02:15..02:45", "2026-10-25 02:20", 0, 25), ("Sun 02:15..02:45", "2026-10-25 02:20", 1, 25),
    ("Sun 02:15..02:45", "2026-10-25 02:50", 0, 0), ("Sun 02:15..02:45", "2026-10-25 02:50", 1, 0)])
def test_hours_follow_the_clock_when_daylight_saving_begins_and_ends(
    written: str, moment: str, fold: int, minutes: float,
) -> None:
    assert left(written, moment, fold) == pytest.approx(minutes)


def test_a_new_time_zone_of_the_host_counts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    noon = datetime(2026, 3, 2, 12, tzinfo=BERLIN).timestamp()
    monkeypatch.setenv("TZ", "America/New_York")
    assert hours.seconds_left([hours.parse("08:00..18:00")], noon) == 0
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert hours.seconds_left([hours.parse("08:00..18:00")], noon) == 6 * 3600


@given(st.integers(0, 1439), st.integers(1, 1440), st.sets(st.integers(0, 6)), st.integers(1767222000, 1798758000))
def test_it_is_in_the_hours_just_where_the_clock_shows_one_of_them(begin: int, end: int, days: set[int], moment: int) -> None:
    shown = datetime.fromtimestamp(moment, BERLIN)
    minute = shown.hour * 60 + shown.minute
    if begin < end:
        is_in = shown.weekday() in days and begin <= minute < end
    else:
        is_in = (shown.weekday() in days and begin <= minute) or ((shown.weekday() - 1) % 7 in days and minute < end)
    found = hours.seconds_left([(tuple(sorted(days)), begin, end)], moment)
    assert (found > 0) is is_in


class Silent(Carrier):
    """A carrier without a client."""


class Run:
    def __init__(self) -> None:
        self.said: list[str] = []

    def tell(self, packet: str) -> None:
        self.said.append(packet)


def awake(kept: list[float], monkeypatch: pytest.MonkeyPatch) -> tuple[relay_life.Life, Run, list[float]]:
    """Return a life that is ready, what it says, and its clock; ``kept`` is for how long it is in its hours."""
    run, clock = Run(), [100.0]
    for name in ("heed", "lead_to", "await_answer", "has_moved", "waiting", "connections", "lost"):
        monkeypatch.setattr(Silent, name, lambda *_: 0)
    monkeypatch.setattr(Silent, "first_held", lambda _: None)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    life = relay_life.Life([Silent()], 10.0, False, lambda: run,  # type: ignore[arg-type, return-value] # a model
                           lambda client, since: ("", since), lambda: kept[0])
    life.begin()
    life.hear(["version", "2"])
    life.hear(["ready", "10.0.0.2"])
    return life, run, clock


def test_it_does_not_fall_asleep_in_these_hours_and_idle_counts_from_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [3600.0]
    life, run, clock = awake(kept, monkeypatch)
    for clock[0] in (130.0, 160.0):
        life.pass_time()
    assert "idle" not in run.said
    kept[0], clock[0] = 0.0, 162.0
    life.pass_time()
    clock[0] = 171.9
    life.pass_time()
    assert "idle" not in run.said
    clock[0] = 172.0
    life.pass_time()
    assert run.said[-1] == "idle"


def test_it_does_not_fall_asleep_while_a_client_waits_for_an_answer_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    life, run, clock = awake([0.0], monkeypatch)
    asks = [True]
    monkeypatch.setattr(Silent, "asking", lambda _: asks[0])
    clock[0] = 111.0
    life.pass_time()
    assert "idle" not in run.said and life.numbers() == "numbers 289.0 0"
    asks[0] = False
    life.pass_time()
    assert run.said[-1] == "idle"

    life, run, clock = awake([0.0], monkeypatch)
    asks[0], clock[0] = True, 399.9
    life.pass_time()
    assert "idle" not in run.said
    clock[0] = 400.0
    life.pass_time()
    assert run.said[-1] == "idle"


def test_status_shows_how_long_it_stays_awake_with_the_rest_of_the_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [3600.0]
    life, _, clock = awake(kept, monkeypatch)
    clock[0] = 105.0
    assert life.numbers() == "numbers 3610.0 0"


def test_the_call_names_the_hours() -> None:
    kept = relay.arguments(["--keep-awake", "00:00..24:00", "80"])[3]
    assert kept() > 24 * 3600
    assert relay.arguments(["80"])[3]() == 0
    assert relay.main(["--keep-awake", "8..18", "80"]) == 2


@pytest.mark.parametrize(("text", "message"), [
    (PORTS + IDLE + "keep_awake = 8\n", r'site.toml:6: container.web.keep_awake: found 8; expected "\[DAYS\] HH:MM..HH:MM"'),
    (PORTS + IDLE + 'keep_awake = "08:00"\n', r'site.toml:6: container.web.keep_awake: found "08:00"; allowed: "\[DAYS\]'),
    (PORTS + IDLE + 'keep_awake = "08:00..25:00"\n', r'found "08:00..25:00"; allowed: "\[DAYS\] HH:MM'),
    (PORTS + IDLE + 'keep_awake = "24:00..08:00"\n', r'found "24:00..08:00"; allowed: "\[DAYS\] HH:MM'),
    (PORTS + IDLE + 'keep_awake = "Noday 08:00..18:00"\n', r'found "Noday 08:00..18:00"; allowed: "\[DAYS\]'),
    (PORTS + IDLE + 'keep_awake = "Sat..Mon 08:00..18:00"\n', '"Sat..Mon" goes beyond the week, which begins with Monday'),
    (PORTS + IDLE + 'keep_awake = "08:00..08:00"\n', 'it ends when it begins; write "00:00..24:00" for a whole day'),
    (PORTS + IDLE + 'keep_awake = ["08:00..18:00", "x"]\n', r'keep_awake\[1\]: found "x"; allowed'),
    (PORTS + IDLE + "keep_awake = []\n", "keep_awake: found .*at least 1"),
    (PORTS + WORK, 'site.toml:5: container.web.keep_awake: without an idle time .* write idle = "10min" too, or wake_at instead'),
    (PORTS + IDLE + WORK + 'proxy = "systemd-socket-proxyd"\n', 'proxy: "systemd-socket-proxyd" does not support \'keep_awake\''),
    ('companion_of = ["db"]\n' + WORK, "keep_awake: nothing connects to a companion"),
    ('task = true\nbefore = ["db"]\n' + WORK, "keep_awake: a task runs to its end")])
def test_each_mistake_is_an_error_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        declared(tmp_path, WEB + text)
