"""What people and programs may rely on of `ondemand status`, told from what systemd, journal, kernel and engine say."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import kernel
import pytest
import record
import relay_life
import words
from carriers import kernel as past
from hypothesis import given
from hypothesis import strategies as st

import ondemand_host
import ondemand_pkg
from ondemand_host import checks_network, lives, main, places, services, sockets, systemd, table
from ondemand_host.errors import HostError
from ondemand_host.services import Service, Statistics, Survey, state_of
from ondemand_host.systemd import Record, Sleep, Unit
from ondemand_pkg import layout
from ondemand_pkg.model import Container, Port, TcpAddress
from ondemand_pkg.package import UNRECORDED

NOW = 1000000.0
WAKE = Record("web", NOW - 185, False, "192.0.2.7", phases=(("queued", 12), ("engine_start", 190), ("ready", 40),
                                                           ("first_byte", 32)), total=274)
SLEEP = Sleep("web", NOW - 1, "idle", 184.0, 2**20)
FAILURE = Record("db", NOW - 12, True, "10.0.0.9", "the image postgres:16 is not on this host; run 'docker pull postgres:16'")
WEB = Service("web", "awake", ("[::]:80", "127.0.0.1:9000"), 3, 500.0, WAKE, Statistics(268, 1310, 41), 0,
              built_by="0.2.0", version="1.27-2")
DB = Service("db", "failing", ("[::]:5432",), 0, failures=7, failures_in_a_row=3, last_failure=FAILURE, next_attempt=NOW + 4.2)


def plain(text: str, *_: object, **__: object) -> str:
    return text


def shown(*found: Service, in_detail: bool = False, not_readable: tuple[str, ...] = ()) -> list[str]:
    return list(table.lines(Survey(found, not_readable), NOW, 80, in_detail, plain))


LISTENS, CLOSED = Unit("active", "enabled", ("[::]:80",)), Unit("inactive", "enabled", ("[::]:80",))


@pytest.mark.parametrize(("socket_unit", "container", "failures", "state"), [
    (LISTENS, Unit("inactive"), 0, "asleep"), (LISTENS, Unit("activating"), 2, "starting"), (LISTENS, Unit("active"), 0, "awake"),
    (LISTENS, Unit("deactivating"), 0, "stopping"), (LISTENS, Unit("active", status="paused"), 0, "paused"),
    (LISTENS, Unit("deactivating", status="paused"), 0, "stopping"), (LISTENS, Unit("inactive", status="paused"), 0, "asleep"),
    (LISTENS, Unit("failed"), 1, "failing"), (LISTENS, Unit("failed"), 0, "asleep"), (CLOSED, Unit("inactive"), 1, "closed"),
    (Unit("inactive", "disabled"), Unit(), 0, "disabled"), (Unit("inactive", "masked"), Unit(), 0, "disabled"),
    (Unit("inactive", "disabled"), Unit("active"), 0, "awake"), (Unit("failed", "enabled"), Unit(), 0, "closed"),
    (Unit("active", "disabled", ("[::]:80",)), Unit("inactive"), 0, "asleep")])
def test_the_state_is_what_the_units_and_the_service_itself_make_of_it(
    socket_unit: Unit, container: Unit, failures: int, state: str,
) -> None:
    assert state_of(socket_unit, container, failures) == state


def test_a_container_that_somebody_started_at_the_engine_is_shown_as_what_it_is() -> None:
    assert state_of(LISTENS, Unit("inactive"), 0, is_running=True) == "unmanaged"
    assert state_of(LISTENS, Unit("active"), 0, is_running=True) == "awake"
    said = " ".join(line.strip() for line in shown(Service("c++", "unmanaged", (), 0, stem="ondemand-c__")))
    assert "runs without its service" in said and "'docker stop ondemand-c__'" in said


def test_a_service_that_was_started_without_its_proxy_is_said_to_stay_awake() -> None:
    said = " ".join(line.strip() for line in shown(Service("web", "awake", (), 0, without_proxy=True, stem="ondemand-web")))
    assert "nothing measures its traffic and it stays awake" in said and "systemctl stop ondemand-web-container" in said


def test_a_service_that_waits_for_one_that_excludes_it_says_for_which() -> None:
    said = " ".join(line.strip() for line in shown(Service("a", "starting", (), 0, waits_for="b")))
    assert "waits until b sleeps, which excludes it; 'ondemand sleep b'" in said


def test_a_socket_that_listens_but_is_not_enabled_is_said_to_be_gone_after_the_next_boot() -> None:
    said = " ".join(line.strip() for line in shown(Service("web", "asleep", (), 0, enabled=False, stem="ondemand-web")))
    assert "after the next boot it does not listen" in said and "'systemctl enable ondemand-web.socket'" in said
    assert len(shown(Service("web", "disabled", (), 0, enabled=False, stem="ondemand-web"))) == 2


def test_of_a_single_wake_there_are_no_percentiles() -> None:
    one = WEB._replace(wake_time=Statistics(274, 274, 1))
    assert shown(one)[1].split()[3:8] == ["3min", "ago", "274ms", "-", "-"]
    assert "web: 1 wake in 30 days" in shown(one, in_detail=True)


def test_the_table_is_good_to_read_in_80_columns() -> None:
    assert shown(DB, WEB) == [
        "NAME  STATE    CONN  LAST WAKE   TOOK    P50   P99  LEFT  PORTS",
        "db    failing     0  -              -      -     -     -  5432",
        "web   awake       3  3min ago   274ms  268ms  1.3s  8min  80 127.0.0.1:9000",
        "db: the last 3 wakes failed, 12s ago: the image postgres:16 is not on this host;",
        "    run 'docker pull postgres:16'; the next connection tries again, in 4s at the",
        "    earliest"]


def test_of_a_named_service_everything_is_told() -> None:
    assert shown(WEB, in_detail=True)[2:] == [
        "web: last woken 1970-01-12T13:43:35Z by 192.0.2.7 in 274 ms (queued 12 ms,",
        "    engine start 190 ms, ready 40 ms, first byte 32 ms)",
        "web: 41 wakes in 30 days: 50 % within 268 ms, 99 % within 1310 ms",
        "web: version 1.27-2, built by ondemand-pkg 0.2.0"]


def test_a_package_that_does_not_say_which_release_built_it_is_of_the_first() -> None:
    assert shown(DB, in_detail=True)[-1] == "db: built by ondemand-pkg 0.1.0 or older"


def test_what_can_not_be_read_is_not_made_up() -> None:
    row = shown(Service("web", "awake", ("[::]:80",), 3), not_readable=("journal", "idle_left"))[1]
    assert row.split() == ["web", "awake", "3", "?", "?", "?", "?", "?", "80"]
    remedies = table.not_readable(Survey((), ("journal", "idle_left")))
    assert "root" in remedies[0] and "systemd-journal" in remedies[0] and "root" in remedies[1]


def test_without_services_there_is_no_table() -> None:
    assert shown() == []


def test_a_socket_that_does_not_listen_is_told() -> None:
    said = " ".join(line.strip() for line in shown(Service("c++", "closed", (), 0, stem="ondemand-c__")))
    assert "journalctl --unit ondemand-c__.socket" in said


def test_programs_get_stable_keys() -> None:
    found = json.loads(table.as_json(Survey((DB, WEB), ())))
    assert found == {"look_back_days": 30, "not_readable": [], "stacks": [], "services": [
        {"name": "db", "version": None, "state": "failing", "ports": ["[::]:5432"], "connections": 0, "idle_left_s": None,
         "next_by_clock": None,
         "last_wake": None, "dropped_datagrams": None, "closed_without_data": None,
         "probes_answered": None, "refused": None, "too_few_datagrams": None,
         "built_by": None, "enabled": True, "without_proxy": False, "waits_for": None,
             "companion_of": [], "task_before": [], "schedule": [],
             "last_sleep": None, "given_back_bytes": None, "wake_time": None, "failures": 7, "failures_in_a_row": 3,
         "last_failure": {"time": "1970-01-12T13:46:28Z", "client": "10.0.0.9", "reason": FAILURE.reason},
         "next_attempt": "1970-01-12T13:46:44Z"},
        {"name": "web", "version": "1.27-2", "state": "awake", "ports": ["[::]:80", "127.0.0.1:9000"], "connections": 3,
         "idle_left_s": 500.0, "next_by_clock": None, "dropped_datagrams": None, "closed_without_data": None,
         "probes_answered": None, "refused": None, "too_few_datagrams": None,
         "last_wake": {"time": "1970-01-12T13:43:35Z", "client": "192.0.2.7", "queued_ms": 12, "engine_start_ms": 190,
                       "ready_ms": 40, "first_byte_ms": 32, "total_ms": 274},
         "last_sleep": None, "given_back_bytes": None,
         "wake_time": {"p50_ms": 268, "p99_ms": 1310, "count": 41}, "failures": 0, "failures_in_a_row": 0, "last_failure": None,
         "next_attempt": None, "built_by": "0.2.0", "enabled": True, "without_proxy": False, "waits_for": None,
             "companion_of": [], "task_before": [], "schedule": []}]}


@pytest.mark.parametrize(("text", "count"), [("0ms", 0), ("999ms", 999), ("1.0s", 1000), ("59.9s", 59900), ("1min", 99950)])
def test_wake_times_are_short(text: str, count: int) -> None:
    assert table.milliseconds(count) == text


@pytest.mark.parametrize(("text", "seconds"), [("0s", -1), ("59s", 59.9), ("1min", 60), ("2h", 7300), ("3d", 3 * 86400)])
def test_spans_are_short(text: str, seconds: float) -> None:
    assert table.span(seconds) == text


@given(st.lists(st.integers(0, 10**6), min_size=1))
def test_percentiles_are_numbers_that_were_there(numbers: list[int]) -> None:
    found = services.statistics(numbers)
    assert found is not None and found.wakes == len(numbers) and {found.p50, found.p99} <= set(numbers)
    for percentile, share in ((found.p50, 50), (found.p99, 99)):
        assert 100 * sum(number <= percentile for number in numbers) >= share * len(numbers)
        assert 100 * sum(number < percentile for number in numbers) < share * len(numbers)


def test_without_wakes_there_are_no_percentiles() -> None:
    assert services.statistics([]) is None


def test_the_moment_at_which_the_clock_wakes_a_service_next_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        units = systemd.parse_units("Id=x.timer\nNextElapseUSecRealtime=Mon 2026-11-30 07:45:00 CET\n\n"
                                    "Id=y.timer\nNextElapseUSecRealtime=n/a\n\nId=z.service\nNextElapseUSecRealtime=\n")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert [unit.elapses for unit in units.values()] == [1796021100.0, None, None]
    one = WEB._replace(next_by_clock=1796021100.0)
    assert "web: woken by the clock next 2026-11-30T06:45:00Z" in list(
        table.lines(Survey((one,), ()), NOW, 200, True, lambda text, *_, **__: text))
    assert json.loads(table.as_json(Survey((one,), ())))["services"][0]["next_by_clock"] == "2026-11-30T06:45:00Z"


@given(st.integers(1, 60))
def test_the_next_attempt_is_when_the_relay_lets_it_be(failures: int) -> None:
    assert services.back_off_after(failures) == relay_life.back_off_after(failures)


def test_the_records_are_those_that_the_services_write() -> None:
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
    entries.append({"__REALTIME_TIMESTAMP": "999999000000", "MESSAGE_ID": systemd.ASLEEP, "ONDEMAND_NAME": "web",
                    "ONDEMAND_HOW": "idle", "ONDEMAND_AWAKE_MS": "184000", "ONDEMAND_GIVEN_BACK_BYTES": "1048576"})
    entries.append({"__REALTIME_TIMESTAMP": "1", "MESSAGE_ID": systemd.ASLEEP, "ONDEMAND_NAME": "web"})
    text = "\n".join(map(json.dumps, entries)) + "\nno JSON\n"
    assert systemd.parse_sleeps(text) == [SLEEP]
    assert systemd.parse_records(text) == [WAKE, Record("db", NOW - 12, True, "::1", "\N{REPLACEMENT CHARACTER}a\n")]


_JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["MESSAGE_ID", "ONDEMAND_NAME", "ONDEMAND_AWAKE_MS", "ONDEMAND_TOTAL_MS", "ONDEMAND_REASON",
                     "__REALTIME_TIMESTAMP"]), inner))


@given(st.lists(_JSON.map(json.dumps) | st.text()).map("\n".join))
def test_no_entry_of_the_journal_breaks_the_reader(text: str) -> None:
    for one in systemd.parse_records(text):
        assert one.failed or one.total is not None
    assert systemd.parse_sleeps(text) == []


def test_what_its_sleep_gives_back_is_shown() -> None:
    asleep = WEB._replace(state="asleep", last_sleep=SLEEP, given_back=SLEEP.given_back)
    said = " ".join(" ".join(shown(asleep, in_detail=True)).split())
    assert "last asleep 1970-01-12T13:46:39Z after 3min awake: no traffic" in said
    assert "it gives back 1.0 MiB of memory, which its processes held (PSS)" in said
    (found,) = json.loads(table.as_json(Survey((asleep,), ())))["services"]
    assert found["given_back_bytes"] == 2**20
    assert found["last_sleep"] == {"time": "1970-01-12T13:46:39Z", "how": "idle", "awake_s": 184.0, "given_back_bytes": 2**20}


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


def test_what_the_kernel_dropped_of_datagrams_is_counted() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}/udp"
        assert sockets.drops([address]) == 0
        for _ in range(50):
            client.sendto(bytes(1000), listener.getsockname())
        dropped = sockets.drops([address, "[::]:80", "/run/x"])
        assert 30 < dropped < 50
    told = shown(Service("dns", "awake", ("[::]:53/udp",), 0, dropped=(dropped, 7)), in_detail=True)
    said = " ".join(line.strip() for line in told)
    assert f"dns: datagrams dropped: {dropped} by the kernel since it listens, 7 by the relay since it runs" in said
    found = json.loads(table.as_json(Survey((Service("dns", "awake", ("[::]:53/udp",), 0, dropped=(2, 7)),), ())))
    assert found["services"][0]["dropped_datagrams"] == {"kernel": 2, "relay": 7}


def test_a_unit_says_what_it_listens_on_with_datagrams_apart() -> None:
    text = "Listen=[::]:53 (Stream)\nListen=[::]:53 (Datagram)\nId=a.socket\nDropInPaths=/etc/a.conf /etc/b.conf\n"
    unit = systemd.parse_units(text)["a.socket"]
    assert (unit.listen, unit.drop_ins) == (("[::]:53", "[::]:53/udp"), ("/etc/a.conf", "/etc/b.conf"))
    assert sockets.connections(["[::]:53/udp"]) == {"[::]:53/udp": 0}


def install(directory: Path, monkeypatch: pytest.MonkeyPatch, packages: dict[str, str]) -> None:
    for name, text in packages.items():
        (directory / name).mkdir()
        (directory / name / "container.json").write_text(text)
    monkeypatch.setattr(places, "LIBEXEC", str(directory))
    monkeypatch.setattr(systemd, "require_systemd", lambda: None)


def test_installed_services_are_known_by_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, {
        "ondemand-c++": '{"container": "ondemand-c__", "built_by": "0.2.0"}', "ondemand-torn": "{",
        "ondemand-old": '{"container": "ondemand-old"}', "ondemand-list": "[]", "other": "{}"})
    assert places.installed() == {"c++": places.Installed("c++", "ondemand-c__", "0.2.0"),
                                  "old": places.Installed("old", "ondemand-old", None)}


def test_a_name_that_is_not_there_is_told_with_those_that_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, {"ondemand-web": '{"container": "ondemand-web"}'})
    said = r"^there is no on-demand service 'wbe' on this host; did you mean 'web'\?; installed: web$"
    with pytest.raises(HostError, match=said):
        services.survey(["wbe"])


@pytest.mark.parametrize("word", ["c++", "ondemand-c++", "ondemand-c__", "ondemand-c__.socket", "ondemand-c__.service",
                                  "ondemand-c__-container.service"])
def test_a_service_is_meant_by_each_of_its_names(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, {"ondemand-c++": '{"container": "ondemand-c__"}', "ondemand-c": '{"container": "ondemand-c"}'})
    assert [package.name for package in places.chosen([word, "c++"]).packages] == ["c++"]


def test_a_service_called_like_the_package_of_another_one_is_meant_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(tmp_path, monkeypatch, {"ondemand-x": '{"container": "ondemand-x"}',
                                    "ondemand-ondemand-x": '{"container": "ondemand-ondemand-x"}'})
    assert [package.name for package in places.chosen(["ondemand-x"]).packages] == ["ondemand-x"]


def test_without_systemd_the_command_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.isdir", lambda _: False)
    with pytest.raises(HostError, match="systemd is not running on this machine"):
        services.survey([])


@pytest.mark.parametrize(("words", "found"), [
    (["st"], ["status"]), (["status", ""], ["db", "web"]), (["logs", "web", ""], ["db"]), (["logs", "--f"], ["--follow"]),
    (["nothing", ""], []), (["status", "x"], [])])
def test_a_shell_completes_commands_options_and_names(
    words: list[str], found: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(tmp_path, monkeypatch, {f"ondemand-{name}": f'{{"container": "ondemand-{name}"}}' for name in ("web", "db")})
    assert main.completions(words) == found and set(main.completions([])) == set(main.COMMANDS)


def test_an_unknown_command_is_answered_with_the_one_that_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["statsu"]) == 2
    assert capsys.readouterr().err == "error: there is no command 'statsu'; did you mean 'status'?; see 'ondemand --help'\n"


def test_ctrl_c_ends_a_command_without_a_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(services, "survey", interrupted)
    assert main.main(["status"]) == 130 and capsys.readouterr() == ("", "")


def test_watching_shows_the_table_again_until_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pauses = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(services, "survey", lambda _: Survey((WEB,)))
    monkeypatch.setattr("time.sleep", sleep)
    assert main.main(["status", "--watch"]) == 0
    assert capsys.readouterr().out.count("NAME  STATE") == 3


def test_names_and_paths_are_those_that_the_builder_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    container = Container("c++", "x:1", "1", (Port(TcpAddress(None, 80), 80),))
    package = places.Installed("c++", container.container_name)
    assert (package.socket, package.proxy, package.container, package.helpers, package.environment_file) == (
        container.socket_unit, container.proxy_unit, container.container_unit, container.libexec, container.environment_file)
    assert (places.PREFIX, places.UNITS, places.UNRECORDED) == (layout.PREFIX, layout.UNITS, UNRECORDED)
    monkeypatch.setattr(places, "LIBEXEC", str(tmp_path))
    assert package.timer == container.timer_unit and not package.kernel_units
    (tmp_path / "ondemand-c++").mkdir()
    (tmp_path / "ondemand-c++" / "kernel").touch()
    assert package._replace().kernel_units == (container.kernel_socket_unit, container.kernel_unit)
    assert checks_network.IMPOSSIBLE in kernel.RELAY_SERVES and checks_network.IMPOSSIBLE in past.IMPOSSIBLE
    assert ondemand_host.__version__ == ondemand_pkg.__version__


def test_the_words_to_the_helpers_are_theirs() -> None:
    assert (lives.IDLE, lives.WAKE, lives.READY, lives.PAUSED, lives.STOPPING, lives.LEAVING) == (
        words.IDLE, words.WAKE, words.READY, words.PAUSED, words.STOPPING, words.LEAVING)
    assert {lives.IDLE, lives.WAKE} <= set(words.OF_ROOT)


def test_only_root_wakes_and_puts_to_sleep(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("os.getuid", lambda: 1000)
    for command in ("wake", "sleep"):
        assert main.main([command, "web"]) == 1 and "run the command as root" in capsys.readouterr().err
