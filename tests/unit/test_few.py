"""What users may rely on of services that several datagrams of one client wake."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import carriers
import pytest
import relay
from carriers.few import Few
from test_datagrams import Between
from test_wake_on import WEB, declared

from ondemand_pkg.contents.declaration_file import as_toml
from ondemand_pkg.contents.helper_files import modules
from ondemand_pkg.contents.units import units
from ondemand_pkg.errors import DeclarationError
from ondemand_pkg.waking import Datagrams

PORTS = 'ports = ["53:53/udp"]\nready = "started"\n'
KEY = 'wake_on = { datagrams = 3, within = "1min 30s" }\n'


class Counting(Between):
    """A carrier that three datagrams of one client wake, and its clock."""

    def __init__(self) -> None:
        super().__init__()
        self.carrier.few = Few(3, 10.0)
        self.carrier.heed("accept")

    def say(self, client: int, data: bytes) -> None:
        self.clients[client].sendto(data, ("127.0.0.1", self.port))
        self.turn()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def counting(clock: list[float]) -> Iterator[Counting]:
    found = Counting()
    yield found
    found.close()


def test_so_many_datagrams_of_one_client_wake_and_all_of_them_are_led_on(counting: Counting) -> None:
    counting.client(b"1")
    counting.client(b"x")
    counting.turn()
    counting.say(0, b"2")
    assert not counting.seen and counting.carrier.waiting() == 0 and counting.carrier.silent() == 2
    assert counting.carrier.first_held() is None and not counting.carrier.has_moved()
    counting.say(0, b"3")
    assert counting.seen == ["127.0.0.1"] and counting.carrier.waiting() == 1 and counting.carrier.first_held() is not None
    counting.lead()
    counting.turn(10)
    assert sorted(counting.heard()) == [b"1", b"2", b"3", b"x"]


def test_those_that_are_too_few_are_forgotten_in_time_and_told(counting: Counting, clock: list[float]) -> None:
    counting.client(b"1", b"2")
    counting.turn()
    assert counting.carrier.due() == 10.0
    clock[0] += 10.0
    counting.turn()
    assert counting.carrier.silent() == 0 and counting.carrier.size == 0 and not counting.carrier.sessions
    assert counting.carrier.tally.take() == {"few": (1, "127.0.0.1")}
    counting.say(0, b"3")
    assert not counting.seen, "they are counted again from the beginning"


def test_a_client_that_sends_slowly_never_wakes_and_only_its_last_ones_are_held(counting: Counting, clock: list[float]) -> None:
    counting.client()
    for number in range(8):
        counting.say(0, b"%d" % number)
        clock[0] += 6.0
    assert not counting.seen and counting.carrier.size == 3
    counting.say(0, b"8")
    clock[0] += 1.0
    counting.say(0, b"9")
    assert counting.seen == ["127.0.0.1"]
    counting.lead()
    counting.turn(10)
    assert counting.heard() == [b"6", b"7", b"8", b"9"]


def test_a_client_in_the_midst_of_others_that_send_too_few_is_held(counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    from carriers import datagrams

    monkeypatch.setattr(datagrams, "MOST_BYTES", 10)
    for _ in range(5):
        counting.client(b"xxxx")
        counting.turn()
    counting.client(b"1", b"2", b"3")
    counting.turn()
    assert counting.seen == ["127.0.0.1"]
    assert counting.carrier.tally.take()["few"][0] == 4


def test_what_comes_during_a_start_is_held_as_always(counting: Counting, clock: list[float]) -> None:
    counting.client(b"1", b"2", b"3")
    counting.turn()
    counting.carrier.heed("hold")
    counting.client(b"x")
    counting.turn()
    clock[0] += 60.0
    counting.turn()
    counting.lead()
    counting.turn(10)
    assert b"x" in counting.heard()


def test_awake_a_client_is_traffic_once_it_has_sent_as_many(counting: Counting) -> None:
    counting.lead()
    counting.client(b"1", b"2")
    counting.turn()
    assert counting.heard() == [b"1", b"2"] and not counting.carrier.has_moved() and counting.carrier.keeping() == 0
    counting.say(0, b"3")
    assert counting.carrier.has_moved() and counting.carrier.keeping() == 1 and counting.seen == ["127.0.0.1"]


def test_while_it_is_paused_they_are_counted_too(counting: Counting) -> None:
    counting.carrier.heed("watch")
    counting.client(b"1", b"2")
    counting.turn()
    assert not counting.seen
    counting.say(0, b"3")
    assert counting.seen == ["127.0.0.1"]


def test_the_package_starts_the_container_by_its_relay_alone(tmp_path: Path) -> None:
    container = declared(tmp_path, WEB + PORTS + KEY)
    proxy = units(container)["ondemand-web.service"]
    assert container.wake_on == Datagrams(3, 90.0) and declared(tmp_path, as_toml(container)) == container
    assert " --udp-timeout 300 --datagrams 3 --within 90 53/udp\n" in proxy
    assert "Wants=ondemand-web-container.service" not in proxy
    assert {"carriers/few.py", "unwoken.py"} <= modules(container).keys()
    assert "carriers/few.py" not in modules(declared(tmp_path, WEB + PORTS))


def test_the_call_is_read() -> None:
    assert relay.arguments(["--datagrams", "3", "--within", "1.5", "53/udp"])[-4] == (3, 1.5)
    assert relay.arguments(["53/udp"])[-4] is None


@pytest.mark.parametrize(("value", "message"), [
    ("{}", "wake_on: .*datagrams is missing"), ("{ datagrams = 3 }", "wake_on: .*within is missing"),
    ('{ datagrams = 1, within = "1s" }', "wake_on.datagrams: found 1; allowed:"),
    ('{ datagrams = 65, within = "1s" }', "wake_on.datagrams: found 65; allowed:"),
    ("{ datagrams = 3, within = 5 }", "wake_on.within: found 5; expected a time span"),
    ('{ datagrams = 3, within = "1s", of = 1 }', "wake_on.of: .*unknown key; allowed: datagrams, within")])
def test_each_mistake_is_an_error_with_its_place(tmp_path: Path, value: str, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        declared(tmp_path, WEB + PORTS + f"wake_on = {value}\n")


def test_the_kind_is_one_of_those_that_are_told() -> None:
    import unwoken

    assert carriers.FEW in unwoken.KINDS
