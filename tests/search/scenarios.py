"""What others may do while a search goes on."""

from __future__ import annotations

from dataclasses import dataclass

NEARLY_IDLE = 0.7  # seconds: before the container is asked to sleep, which has an idle time of one second


@dataclass(frozen=True)
class Scenario:
    """What others do, in this order but at any moment from so long on after the container was woken."""

    name: str
    others: tuple[str, ...]  # names of methods of World
    after: float = 0.0  # seconds, by the search's clock, after the answer to the first client


SCENARIOS = {scenario.name: scenario for scenario in (
    Scenario("asleep", ("connect",), NEARLY_IDLE),
    Scenario("asleep-two", ("connect", "connect"), NEARLY_IDLE),
    Scenario("killed", ("kill", "connect")),
    Scenario("killed-asleep", ("kill", "connect"), NEARLY_IDLE),
    Scenario("stopped", ("stop", "connect")),
    Scenario("stopped-asleep", ("stop", "connect"), NEARLY_IDLE),
    Scenario("upgraded", ("upgrade", "connect"), NEARLY_IDLE),
)}
