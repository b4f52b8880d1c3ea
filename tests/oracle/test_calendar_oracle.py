"""What is taken as a moment of the calendar is one to systemd too, by `systemd-analyze calendar`."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from requirements import need

from ondemand_pkg.declaration.calendar_values import EVENTS
from ondemand_pkg.declaration.hours_values import HOURS
from ondemand_pkg.declaration.values import Invalid


def systemd_takes(*events: str) -> bool:
    need("systemd-analyze")
    return subprocess.run(["systemd-analyze", "calendar", "--", *events], capture_output=True).returncode == 0


def taken(event: str) -> bool:
    try:
        EVENTS.parse(event)
    except Invalid:
        return False
    return True


@pytest.mark.parametrize("event", [
    "daily", "Hourly", "Mon..Fri 07:45", "Sat,Sun", "Mon", "*-*-01 06:00", "*:0/15", "08:00:30", "2026-12-24", "*-02~01",
    "Mon *-*-1..7 08:00", "*-1,7-1 0:0", "Fri 2026-*-13 00:00:01.5", "08:00 UTC", "Mon..Fri 07:45 Europe/Berlin", "weekly UTC",
    "monday..friday 7:5", "*-*-* *:*:00"])
def test_moments_of_every_form_are_taken(event: str) -> None:
    assert taken(event) and systemd_takes(event)


@pytest.mark.parametrize("event", [
    "", " ", "every day", "25:00", "08:60", "8", "Mon 8", "*-13-01", "*-01-32", "Mon..", "Fri..Foo 08:00", "08:00 nowhere",
    "08:00:00:00", "*-*-*-* 08:00", "9..7:00", "daily 08:00"])
def test_what_systemd_does_not_take_is_refused(event: str) -> None:
    assert not systemd_takes(event) and not taken(event)


@pytest.mark.parametrize("written", ["08:00..18:00", "Sat,Sun 8:00..24:00", "mon..friday 22:30..06:00"])
def test_the_beginning_of_hours_is_a_moment_of_the_calendar(written: str) -> None:
    (hours,) = HOURS.parse(written)
    assert systemd_takes(hours.event) and taken(hours.event)


ITEMS = st.sampled_from(["*", "1", "5", "07", "1..5", "0/7", "3/2", "1,4", "12", "31", "59", "60", "2..1", "x", ""])
DAYS = st.sampled_from(["", "Mon ", "Sat,Sun ", "mon..fri ", "Mon..Wed,Fri ", "Noday "])
DATES = st.builds("{}-{}-{}".format, st.sampled_from(["*", "2026", "2026..2030", "1800"]), ITEMS, ITEMS) | st.just("")
TIMES = st.builds("{}:{}".format, ITEMS, ITEMS) | st.builds("{}:{}:{}".format, ITEMS, ITEMS, ITEMS) | st.just("")
ZONES = st.sampled_from(["", " UTC", " Europe/Berlin"])


@settings(max_examples=300, deadline=None)
@given(st.builds("{}{} {}{}".format, DAYS, DATES, TIMES, ZONES).map(str.strip))
def test_nothing_is_taken_that_systemd_does_not_take(event: str) -> None:
    assert not taken(event) or systemd_takes(event)
