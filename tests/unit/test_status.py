"""What people and programs may rely on of `ondemand-pkg status`, told from what systemd, journal and kernel say."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import load
from hypothesis import given
from hypothesis import strategies as st

from ondemand_pkg.errors import OndemandError
from ondemand_pkg.host import report, services, sockets, systemd
from ondemand_pkg.host.services import Service, Statistics, Survey, state_of
from ondemand_pkg.host.systemd import Record, Unit

NOW = 1000000.0
WAKE = Record("web", NOW - 185, False, "192.0.2.7", phases=(("queued", 12), ("engine_start", 190), ("ready", 40),
                                                           ("first_byte", 32)), total=274)
FAILURE = Record("db", NOW - 12, True, "10.0.0.9", "the image postgres:16 is not here; 'docker pull postgres:16' gets it")
WEB = Service("web", "awake", ("[::]:80", "127.0.0.1:9000"), 3, 500.0, WAKE, Statistics(268, 1310, 41), 0)
DB = Service("db", "failing", ("[::]:5432",), 0, failures=7, failures_in_a_row=3, last_failure=FAILURE, next_attempt=NOW + 4.2)


def plain(text: str, **_: object) -> str:
    return text


def shown(*found: Service, in_detail: bool = False, not_readable: tuple[str, ...] = ()) -> list[str]:
    return list(report.lines(Survey(found, not_readable), NOW, 80, in_detail, plain))


LISTENS, CLOSED = Unit("active", "enabled", ("[::]:80",)), Unit("inactive", "enabled", ("[::]:80",))


@pytest.mark.parametrize(("socket_unit", "container", "failures", "state"), [
    (LISTENS, Unit("inactive"), 0, "asleep"), (LISTENS, Unit("activating"), 2, "starting"), (LISTENS, Unit("active"), 0, "awake"),
    (LISTENS, Unit("deactivating"), 0, "stopping"), (LISTENS, Unit("active", status="paused"), 0, "paused"),
    (LISTENS, Unit("deactivating", status="paused"), 0, "stopping"), (LISTENS, Unit("inactive", status="paused"), 0, "asleep"),
    (LISTENS, Unit("failed"), 1, "failing"), (LISTENS, Unit("failed"), 0, "asleep"), (CLOSED, Unit("inactive"), 1, "closed"),
    (Unit("inactive", "disabled"), Unit(), 0, "disabled"), (Unit("inactive", "masked"), Unit(), 0, "disabled"),
    (Unit("inactive", "disabled"), Unit("active"), 0, "awake"), (Unit("failed", "enabled"), Unit(), 0, "closed")])
def test_the_state_is_what_the_units_and_the_service_itself_make_of_it(
    socket_unit: Unit, container: Unit, failures: int, state: str,
) -> None:
    assert state_of(socket_unit, container, failures) == state


def test_the_table_is_good_to_read_in_80_columns() -> None:
    assert shown(DB, WEB) == [
        "NAME  STATE    CONN  LAST WAKE   TOOK    P50   P99  LEFT  PORTS",
        "db    failing     0  -              -      -     -     -  5432",
        "web   awake       3  3min ago   274ms  268ms  1.3s  8min  80 127.0.0.1:9000",
        "db: the last 3 wakes failed, 12s ago: the image postgres:16 is not here; 'docker",
        "    pull postgres:16' gets it; the next connection tries again, in 4s at the",
        "    earliest"]


def test_of_a_named_service_everything_is_told() -> None:
    assert shown(WEB, in_detail=True)[2:] == [
        "web: last woken 1970-01-12T13:43:35Z by 192.0.2.7 in 274 ms (queued 12 ms,",
        "    engine start 190 ms, ready 40 ms, first byte 32 ms)",
        "web: 41 wakes in 30 days, half of them in 268 ms or less, 99 % in 1310 ms or",
        "    less"]


def test_what_can_not_be_read_is_not_made_up() -> None:
    row = shown(Service("web", "awake", ("[::]:80",), 3), not_readable=("journal", "idle_left"))[1]
    assert row.split() == ["web", "awake", "3", "?", "?", "?", "?", "?", "80"]
    remedies = report.not_readable(Survey((), ("journal", "idle_left")))
    assert "root" in remedies[0] and "systemd-journal" in remedies[0] and "root" in remedies[1]


def test_without_services_there_is_no_table() -> None:
    assert shown() == []


def test_a_socket_that_does_not_listen_is_told() -> None:
    assert "journalctl --unit ondemand-c__.socket" in " ".join(line.strip() for line in shown(Service("c++", "closed", (), 0)))


def test_programs_get_stable_keys() -> None:
    found = json.loads(report.as_json(Survey((DB, WEB), ())))
    assert found == {"look_back_days": 30, "not_readable": [], "services": [
        {"name": "db", "state": "failing", "ports": ["[::]:5432"], "connections": 0, "idle_left_s": None, "last_wake": None,
         "wake_time": None, "failures": 7, "failures_in_a_row": 3,
         "last_failure": {"time": "1970-01-12T13:46:28Z", "client": "10.0.0.9", "reason": FAILURE.reason},
         "next_attempt": "1970-01-12T13:46:44Z"},
        {"name": "web", "state": "awake", "ports": ["[::]:80", "127.0.0.1:9000"], "connections": 3, "idle_left_s": 500.0,
         "last_wake": {"time": "1970-01-12T13:43:35Z", "client": "192.0.2.7", "queued_ms": 12, "engine_start_ms": 190,
                       "ready_ms": 40, "first_byte_ms": 32, "total_ms": 274},
         "wake_time": {"p50_ms": 268, "p99_ms": 1310, "count": 41}, "failures": 0, "failures_in_a_row": 0, "last_failure": None,
         "next_attempt": None}]}


@pytest.mark.parametrize(("text", "count"), [("0ms", 0), ("999ms", 999), ("1.0s", 1000), ("59.9s", 59900), ("1min", 99950)])
def test_wake_times_are_short(text: str, count: int) -> None:
    assert report.milliseconds(count) == text


@pytest.mark.parametrize(("text", "seconds"), [("0s", -1), ("59s", 59.9), ("1min", 60), ("2h", 7300), ("3d", 3 * 86400)])
def test_spans_are_short(text: str, seconds: float) -> None:
    assert report.span(seconds) == text


@given(st.lists(st.integers(0, 10**6), min_size=1))
def test_percentiles_are_numbers_that_were_there(numbers: list[int]) -> None:
    found = services.statistics(numbers)
    assert found is not None and found.count == len(numbers) and {found.p50, found.p99} <= set(numbers)
    for percentile, share in ((found.p50, 50), (found.p99, 99)):
        assert 100 * sum(number <= percentile for number in numbers) >= share * len(numbers)
        assert 100 * sum(number < percentile for number in numbers) < share * len(numbers)


def test_without_wakes_there_are_no_percentiles() -> None:
    assert services.statistics([]) is None


@given(st.integers(1, 60))
def test_the_next_attempt_is_when_the_relay_lets_it_be(failures: int) -> None:
    assert services.back_off_after(failures) == load("relay").back_off_after(failures)


def test_the_records_are_those_that_the_services_write() -> None:
    record = load("record.py")
    assert (record.WOKEN, record.FAILED) == (systemd.WOKEN, systemd.FAILED)
    assert [f"{field}_MS" for field, _ in record.PHASES.values()] == [f"{phase.upper()}_MS" for phase in systemd.PHASES]


def test_units_are_read_with_all_of_their_addresses() -> None:
    text = ("Listen=[::]:80 (Stream)\nListen=/run/web.sock (Stream)\nId=a.socket\nActiveState=active\n"
            "UnitFileState=enabled\n\nId=b.service\nActiveState=active\nUnitFileState=\nStatusText=paused\n")
    assert systemd.parse_units(text) == {"a.socket": Unit("active", "enabled", ("[::]:80", "/run/web.sock")),
                                         "b.service": Unit("active", "", (), "paused")}


def test_records_are_read_from_the_journal() -> None:
    entries: list[object] = [
        {"__REALTIME_TIMESTAMP": "999815000000", "MESSAGE_ID": systemd.WOKEN, "ONDEMAND_NAME": "web",
         "ONDEMAND_CLIENT": "192.0.2.7",
         "ONDEMAND_QUEUED_MS": "12", "ONDEMAND_ENGINE_START_MS": "190", "ONDEMAND_READY_MS": "40", "ONDEMAND_FIRST_BYTE_MS": "32",
         "ONDEMAND_TOTAL_MS": "274"},
        {"__REALTIME_TIMESTAMP": "999988000000", "MESSAGE_ID": systemd.FAILED, "ONDEMAND_NAME": "db",
         "ONDEMAND_REASON": [255, 97, 10], "ONDEMAND_CLIENT": ["::1", "::2"]},
        {"__REALTIME_TIMESTAMP": "1", "MESSAGE_ID": systemd.WOKEN, "ONDEMAND_NAME": "web", "ONDEMAND_TOTAL_MS": "soon"},
        {"MESSAGE_ID": systemd.WOKEN}, 7, None]
    text = "\n".join(map(json.dumps, entries)) + "\nno JSON\n"
    assert systemd.parse_records(text) == [WAKE, Record("db", NOW - 12, True, "::1", "\N{REPLACEMENT CHARACTER}a\n")]


_JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["MESSAGE_ID", "ONDEMAND_NAME", "ONDEMAND_TOTAL_MS", "ONDEMAND_REASON", "__REALTIME_TIMESTAMP"]), inner))


@given(st.lists(_JSON.map(json.dumps) | st.text()).map("\n".join))
def test_no_entry_of_the_journal_breaks_the_reader(text: str) -> None:
    for record in systemd.parse_records(text):
        assert record.failed or record.total is not None


@pytest.fixture
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    family, host = request.param
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.bind(str(tmp_path / "a b.sock") if family == socket.AF_UNIX else (host, 0))
        listening.listen()
        yield listening


@pytest.mark.parametrize("listener", [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"),
                                      (socket.AF_INET6, "::1"), (socket.AF_UNIX, "")], indirect=True)
def test_open_connections_are_counted_accepted_or_not(listener: socket.socket) -> None:
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        target, address = name, name.replace(" ", "\\040")
    else:
        host = f"[{name[0]}]" if listener.family == socket.AF_INET6 else name[0]
        target = ({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name[0], name[0]), name[1])
        address = f"{host}:{name[1]}"
    assert sockets.connections([address]) == {address: 0}
    clients = [socket.socket(listener.family, socket.SOCK_STREAM) for _ in range(3)]
    for client in clients:
        client.connect(target)
    accepted = [listener.accept()[0] for _ in range(2)]
    assert sockets.connections([address]) == {address: 3}
    clients[0].shutdown(socket.SHUT_WR)
    assert sockets.connections([address]) == {address: 3}, "one whose client has ended its side is still open"
    for one in (*clients, *accepted):
        one.close()


def test_installed_services_are_known_by_their_files(tmp_path: Path) -> None:
    for name, text in (("ondemand-c++", '{"container": "ondemand-c__"}'), ("ondemand-torn", "{"), ("other", "{}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "container.json").write_text(text)
    assert services.installed(tmp_path) == {"c++": "ondemand-c__"}


def test_a_name_that_is_not_there_is_told_with_those_that_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ondemand-web").mkdir()
    (tmp_path / "ondemand-web/container.json").write_text('{"container": "ondemand-web"}')
    monkeypatch.setattr(services, "LIBEXEC", tmp_path)
    monkeypatch.setattr(systemd, "require_systemd", lambda: None)
    with pytest.raises(OndemandError, match=r"^no on-demand service of this host is called 'wbe'; known are: web$"):
        services.survey(["wbe"])


def test_without_systemd_the_command_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd.os.path, "isdir", lambda _: False)
    with pytest.raises(OndemandError, match="systemd does not run this machine"):
        services.survey([])
