"""What must hold whatever the order in which clients come, the workload ends and services are stopped."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest
import relay_states
import run_states
from two_lives import Scenario, Walk, Wrong, walk

SCENARIOS = [
    Scenario(stops=0, clients=2, fails=False), Scenario(stops=2, fails=False), Scenario(), Scenario(stops=0, is_slow=True),
    Scenario(pauses=True, stops=0), Scenario(pauses=True, fails=False), Scenario(is_held=True, stops=0), Scenario(greets=False),
    Scenario(pauses=True, is_declared=False, breaks=True, stops=0), Scenario(pauses=True, can_freeze=False, stops=0),
    Scenario(pauses=True, greets=False, breaks=True, stops=0, fails=False), Scenario(breaks=True, stops=0),
    Scenario(pauses=True, breaks=True, stops=0, fails=False), Scenario(restarts=True, fails=False),
    Scenario(refuses=True, stops=0), Scenario(yields=2, stops=0, clients=2, fails=False), Scenario(yields=2, pauses=True,
    stops=0, fails=False), Scenario(yields=1, is_held=True, stops=0),
    Scenario(by_data=True, clients=2, stops=0, fails=False), Scenario(by_data=True, wakes=1), Scenario(by_data=True, pauses=True,
    stops=0, wakes=1), Scenario(by_data=True, breaks=True, stops=0, fails=False),
    Scenario(by_data=True, probes=True, stops=0, clients=2, fails=False), Scenario(by_data=True, probes=True, wakes=1),
    Scenario(by_data=True, probes=True, pauses=True, stops=0, wakes=1, fails=False), Scenario(enough=1, stops=0, fails=False),
    Scenario(by_data=True, enough=2, stops=0), Scenario(by_data=True, enough=2, pauses=True, stops=0, fails=False)]
SMALL = [Scenario(stops=0), Scenario(pauses=True, stops=0), Scenario(fails=False)]  # enough to find a fault
# The same where datagrams wake, more of them than one.
BY_COUNT = [Scenario(by_data=True, enough=2, pauses=True, stops=0, fails=False)]
BY_DATA = [Scenario(by_data=True, stops=0, wakes=1, fails=False)]  # the same where only data wakes
REFUSES, RESTARTS = Scenario(refuses=True, stops=0), Scenario(restarts=True, stops=0, fails=False)  # the same of their events
# What the model leaves out.
NOT_MODELLED = {
    ("calling", "give up"),  # a drop-in that changed the count of sockets: no life begins
    ("serving", "pauses"),  # it is put to sleep by hand
    ("waking", "broke"),  # what it requires can't be had when it is woken from a pause
    ("stopping", "fail"), ("renewing", "fail"),  # a `run` of release 0.1.0 may say so
    ("paused", "ready"), ("paused", "renew"),  # another service that requires it wakes it
    ("serving", "doubt"), ("serving", "moved"), ("awake", "sought"),  # its address changes: tests/unit/test_moved.py
    ("renewing", "term"),  # both services are stopped while systemd starts one of them again
}


@pytest.fixture(scope="module")
def walked() -> Walk:
    seen = Walk()
    for scenario in SCENARIOS:
        walk(scenario, seen)
    return seen


def entries(module: ModuleType) -> Iterator[tuple[str, str]]:
    for state, row in module.TABLE.items():
        yield from ((state, event) for event in row)


def test_no_order_of_events_leaves_a_client_without_an_answer_or_a_deadline(walked: Walk) -> None:
    assert walked.worlds > 1000


@pytest.mark.parametrize("module", [relay_states, run_states], ids=lambda module: module.__name__)
def test_every_transition_of_the_tables_is_walked(walked: Walk, module: ModuleType) -> None:
    seen = walked.relay if module is relay_states else walked.run
    assert set(entries(module)) - seen - NOT_MODELLED == set()


@pytest.mark.parametrize("module", [relay_states, run_states], ids=lambda module: module.__name__)
def test_every_state_has_a_way_in_and_a_way_out_and_every_event_a_meaning(module: ModuleType) -> None:
    first, last = next(iter(module.TABLE)), list(module.TABLE)[-1]
    targets = {state for row in module.TABLE.values() for state, _ in row.values()}
    assert targets | {first} == set(module.TABLE)
    assert [state for state, row in module.TABLE.items() if all(target == state for target, _ in row.values())] == [last]
    assert {event for _, event in entries(module)} == set(module.EVENTS)


@pytest.mark.parametrize(("module", "state", "event"), [
    (relay_states, relay_states.STARTING, relay_states.END), (relay_states, relay_states.FAILED, relay_states.END),
    (relay_states, relay_states.WAKING, relay_states.READY), (relay_states, relay_states.CALLING, relay_states.UNANSWERED),
    (relay_states, relay_states.PARTING, relay_states.DRAINED), (relay_states, relay_states.PARTING, relay_states.HELD),
    (relay_states, relay_states.CALLING, relay_states.FAILED_BEFORE), (relay_states, relay_states.PAUSED, relay_states.WANTED),
    (run_states, run_states.STOPPING, run_states.GONE),
    (run_states, run_states.PAUSED, run_states.WANTED)])
def test_a_transition_that_is_missing_is_found(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, state: str, event: str,
) -> None:
    row = {other: target for other, target in module.TABLE[state].items() if other != event}
    monkeypatch.setitem(module.TABLE, state, row)
    with pytest.raises(Wrong):
        for scenario in SMALL:
            walk(scenario)


@pytest.mark.parametrize(("state", "event"), [
    (relay_states.ATTENDING, relay_states.CLIENT), (relay_states.ATTENDING, relay_states.ALONE),
    (relay_states.ATTENDING, relay_states.MET), (relay_states.JOINING, relay_states.GREETED),
    (relay_states.JOINING, relay_states.END), (relay_states.PARTING, relay_states.SILENCE)])
def test_a_transition_that_is_missing_where_only_data_wakes_is_found(
    monkeypatch: pytest.MonkeyPatch, state: str, event: str,
) -> None:
    row = {other: target for other, target in relay_states.TABLE[state].items() if other != event}
    monkeypatch.setitem(relay_states.TABLE, state, row)
    with pytest.raises(Wrong):
        for scenario in BY_DATA:
            walk(scenario)


@pytest.mark.parametrize(("state", "event"), [
    (relay_states.ATTENDING, relay_states.CLIENT), (relay_states.ATTENDING, relay_states.ALONE),
    (relay_states.PAUSED, relay_states.CLIENT)])
def test_a_transition_that_is_missing_where_datagrams_are_counted_is_found(
    monkeypatch: pytest.MonkeyPatch, state: str, event: str,
) -> None:
    row = {other: target for other, target in relay_states.TABLE[state].items() if other != event}
    monkeypatch.setitem(relay_states.TABLE, state, row)
    with pytest.raises(Wrong):
        for scenario in BY_COUNT:
            walk(scenario)


@pytest.mark.parametrize(("state", "event", "scenario"), [
    (run_states.STOPPING, run_states.REFUSED, REFUSES), (run_states.FAILED, run_states.REFUSED, REFUSES),
    (run_states.STARTING, run_states.INTERRUPTED, RESTARTS)])
def test_a_transition_that_is_missing_where_the_engine_fails_is_found(
    monkeypatch: pytest.MonkeyPatch, state: str, event: str, scenario: Scenario,
) -> None:
    row = {other: target for other, target in run_states.TABLE[state].items() if other != event}
    monkeypatch.setitem(run_states.TABLE, state, row)
    with pytest.raises(Wrong):
        walk(scenario)


def test_an_action_that_leads_clients_to_an_ended_life_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {**relay_states.TABLE[relay_states.SERVING], relay_states.END: (relay_states.PARTING, "")}
    monkeypatch.setitem(relay_states.TABLE, relay_states.SERVING, row)
    with pytest.raises(Wrong, match="led to a life that is over"):
        for scenario in SMALL:
            walk(scenario)
