"""Whom clients of a service with several tasks are led to."""

from __future__ import annotations

import _socket
from collections import Counter

from carriers.spread import Spread


def test_clients_are_led_to_each_task_in_turn() -> None:
    spread = Spread()
    spread.lead_to("10.0.0.1/80=32768/53=32769+10.0.0.2/53=4/80=3+fd00::1/80=5/53=6")
    assert Counter(spread.next(80) for _ in range(9)) == {
        (_socket.AF_INET, "10.0.0.1", 32768): 3, (_socket.AF_INET, "10.0.0.2", 3): 3, (_socket.AF_INET6, "fd00::1", 5): 3}
    assert {spread.next(53)[2] for _ in range(3)} == {32769, 4, 6}


def test_a_task_that_has_gone_gets_no_more_clients() -> None:
    spread = Spread()
    spread.lead_to("10.0.0.1/80=1+10.0.0.2/80=2")
    spread.lead_to("10.0.0.2/80=2")
    assert {spread.next(80) for _ in range(4)} == {(_socket.AF_INET, "10.0.0.2", 2)}
