"""What users may rely on of services that only data wakes."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import carriers
import control
import pytest
import relay
import relay_life
import unwoken
from carriers import silent
from carriers.ends import Listener
from carriers.streams import Streams
from test_arriving import Ports, is_reset, listening

from ondemand_pkg.checking.findings import findings
from ondemand_pkg.contents.helper_files import modules
from ondemand_pkg.contents.scripts import scripts
from ondemand_pkg.contents.units import units
from ondemand_pkg.declaration.reader import read, read_declared
from ondemand_pkg.errors import DeclarationError
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.model import Container

WEB = '[container.web]\nimage = "nginx:1"\nversion = "1"\n'
PORTS = 'ports = ["80:80"]\n'
DATA = 'wake_on = "data"\n'


def declared(tmp_path: Path, text: str) -> Container:
    path = tmp_path / "site.toml"
    path.write_text(text)
    return next(one for one in read([str(path)]) if one.name == "web")


# The package


def test_nothing_starts_the_container_but_the_relay_that_has_data(tmp_path: Path) -> None:
    container = declared(tmp_path, WEB + PORTS + DATA + 'data_timeout = "1min 30s"\n')
    found = units(container)
    proxy = found["ondemand-web.service"]
    assert "Wants=ondemand-web-container.service" not in proxy and "Wants=ondemand-web-container.socket\n" in proxy
    assert re.search("^ExecStart=.*/relay --door /run/ondemand.door --data-timeout 90 80$", proxy, re.MULTILINE)
    assert re.search("^ExecStart=.*/run --with-proxy -- ", found["ondemand-web-container.service"], re.MULTILINE)
    assert {"carriers/silent.py", "unwoken.py"} <= modules(container).keys()


@pytest.mark.parametrize("key", ["", 'wake_on = "connection"\n'])
def test_what_every_connection_wakes_is_as_it_was(tmp_path: Path, key: str) -> None:
    container = declared(tmp_path, WEB + PORTS + key)
    found = units(container)
    assert "Wants=ondemand-web-container.service\n" in found["ondemand-web.service"]
    assert "data-timeout" not in found["ondemand-web.service"] and "with-proxy" not in found["ondemand-web-container.service"]
    assert not {"carriers/silent.py", "unwoken.py"} & modules(container).keys()


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize("timer", ["", 'wake_at = "08:00"\n'])
def test_an_upgrade_leaves_a_relay_that_waits_for_data_its_door(tmp_path: Path, name: str, timer: str) -> None:
    def stopped(key: str) -> list[str]:
        script = scripts(declared(tmp_path, WEB + PORTS + key + timer), FORMATS[name])["prerm" if name == "deb" else "preun"]
        before = re.findall(r"systemctl stop (.*?) >/dev/null", script.rpartition("\nelse\n")[2] if "\nelse\n" in script else "")
        return [unit for units in before for unit in units.split()]

    timers = ["ondemand-wake@web.timer"] if timer else []
    assert stopped(DATA) == timers and stopped("") == ["ondemand-web-container.socket", *timers]
    start = scripts(declared(tmp_path, WEB + PORTS + DATA), FORMATS[name])["postinst" if name == "deb" else "posttrans"]
    assert "systemctl start ondemand-web-container.socket" in start and "restart ondemand-web-container.socket" not in start


@pytest.mark.parametrize(("text", "message"), [
    (PORTS + "wake_on = true\n", 'site.toml:5: container.web.wake_on: found true; expected "connection" or "data", or'),
    (PORTS + 'wake_on = "bytes"\n', 'site.toml:5: container.web.wake_on: found "bytes"; allowed: "connection" or "data"'),
    (PORTS + 'wake_on = { datagrams = 3, within = "10s" }\n', "wake_on: it counts datagrams, and none of its ports is of UDP"),
    ('ports = ["53:53/udp"]\nready = "started"\n' + DATA, "wake_on: a datagram is data in itself"),
    (PORTS + 'data_timeout = "5s"\n', 'site.toml:5: container.web.data_timeout: .*; leave it out, or write wake_on = "data" too'),
    (PORTS + DATA + "data_timeout = 5\n", "site.toml:6: container.web.data_timeout: found 5; expected a time span"),
    (PORTS + DATA + 'data_timeout = "0s"\n', 'data_timeout: found "0s"; allowed: a time span above 0'),
    (PORTS + DATA + 'proxy = "systemd-socket-proxyd"\n', "proxy: \"systemd-socket-proxyd\" does not support 'wake_on'"),
    ('companion_of = ["db"]\n' + DATA, "wake_on: nothing connects to a companion"),
    ('task = true\nbefore = ["db"]\n' + DATA, "wake_on: a task runs to its end")])
def test_each_mistake_is_an_error_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        declared(tmp_path, WEB + text)


def test_the_proxy_of_systemd_goes_with_the_default(tmp_path: Path) -> None:
    assert declared(tmp_path, WEB + PORTS + 'proxy = "systemd-socket-proxyd"\nwake_on = "connection"\n').wake_on == "connection"


@pytest.mark.parametrize(("ports", "finding"), [
    ('["2222:22"]', "clients of port 22 (SSH) never wake it: they send nothing until the server has spoken"),
    ('["80:80", "25:25", "143:143"]', "clients of port 25 (SMTP) and port 143 (IMAP) never wake it: they send nothing until the "
                                      "server has spoken"),
    ('["80:80"]', None), ('["22:8022"]', None)])
def test_check_warns_of_servers_that_speak_first(tmp_path: Path, ports: str, finding: str | None) -> None:
    (tmp_path / "site.toml").write_text(WEB + f"ports = {ports}\n" + DATA)
    found = findings(read_declared([str(tmp_path / "site.toml")]))
    assert [(one.finding, one.line, one.key) for one in found if one.rule.name == "speaks-first"] == (
        [(finding, 5, "container.web.wake_on")] if finding else [])
    (tmp_path / "site.toml").write_text(WEB + f"ports = {ports}\n")
    assert not [one for one in findings(read_declared([str(tmp_path / "site.toml")])) if one.rule.name == "speaks-first"]


# The clients


class Attending(Ports):
    """A relay with one port that only data wakes; ``came`` are the clients that it tells of."""

    def __init__(self, timeout: float | None = 60.0, front: socket.socket | None = None, health: Any = None) -> None:
        super().__init__(socket.create_server(("127.0.0.1", 0)), fronts=[front] if front else None)
        self.came: list[Any] = []
        listener = Listener(listening(self.fronts[0]), self.servers[0].getsockname()[1])
        self.relay.heed("ignore")
        self.listeners = [listener]
        self.tally = carriers.Tally()
        self.relay = Streams(self.loop, self.listeners, data_timeout=timeout, health=health, tally=self.tally)
        self.relay.on_client = self.came.append
        self.relay.on_doubt = lambda: None
        self.relay.on_answer = lambda: None
        self.relay.heed("accept")

    def work(self, seconds: float = 0.05) -> None:
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)


@pytest.fixture
def attending() -> Iterator[Attending]:
    ports = Attending()
    yield ports
    ports.close()


def test_a_client_counts_once_it_has_sent_something(attending: Attending) -> None:
    client = attending.client()
    attending.until(attending.relay.silent)
    attending.work()
    assert not attending.came and attending.relay.waiting() == 0 and attending.relay.first_held() is None
    client.sendall(b"GET")
    attending.until(lambda: attending.came)
    assert attending.relay.silent() == 0 and attending.relay.waiting() == 1 and attending.relay.first_held() is not None
    attending.lead()
    attending.until(attending.relay.connections)
    server, _ = attending.servers[0].accept()
    attending.until(attending.relay.has_moved)
    assert server.recv(3) == b"GET", "not a byte is lost"
    client.close()
    server.close()


def test_data_that_came_with_the_connection_wake_at_once(attending: Attending) -> None:
    with attending.client() as client:
        client.sendall(b"x")
        attending.until(lambda: attending.came)


def test_the_first_one_with_data_is_the_last_one_that_is_accepted_where_the_service_wants_no_more(attending: Attending) -> None:
    def came(client: Any) -> None:
        attending.came.append(client)
        attending.relay.heed("ignore")

    attending.relay.on_client = came
    clients = [attending.client() for _ in range(5)]
    for client in clients:
        client.sendall(b"x")
    attending.work()
    assert len(attending.came) == 1 and attending.relay.waiting() == 1, "the others outlive this process in the kernel"
    for client in clients:
        client.close()


def test_a_silent_client_is_closed_in_time_and_counted_with_its_address() -> None:
    attending = Attending(0.2)
    begin = time.monotonic()
    with attending.client() as client:
        attending.until(attending.relay.silent)
        attending.until(lambda: not attending.relay.silent())
        assert 0.15 < time.monotonic() - begin < 5
        assert client.recv(1) == b"", "an orderly end"
    assert attending.tally.take() == {"closed": (1, "127.0.0.1")}
    assert not attending.came and attending.listeners[0].clients == attending.listeners[0].silent == 0
    attending.close()


@pytest.mark.parametrize("how", ["close", "half", "reset"])
def test_who_goes_without_a_byte_takes_no_place_and_wakes_nothing(attending: Attending, how: str) -> None:
    client = attending.client()
    if how != "reset":
        attending.until(attending.relay.silent)
    if how == "half":
        client.shutdown(socket.SHUT_WR)
    else:
        if how == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        client.close()
    attending.until(lambda: attending.tally.noted)
    assert attending.tally.take() == {"closed": (1, "127.0.0.1")} and not attending.came and not attending.relay.silent()
    client.close()


def test_silent_clients_take_no_place_of_others(attending: Attending, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silent, "MOST", 5)
    clients = []
    for _ in range(12):
        clients.append(attending.client())
        attending.work(0.02)
    assert attending.relay.silent() == 5
    assert [is_reset(client) for client in clients] == [True] * 7 + [False] * 5, "the one that is silent longest goes first"
    clients[-1].sendall(b"x")
    attending.until(lambda: attending.came)
    for client in clients:
        client.close()


def test_awake_a_connection_is_forwarded_at_once_and_is_no_traffic_before_the_clients_first_byte(attending: Attending) -> None:
    attending.lead()
    client = attending.client()
    attending.until(attending.relay.connections)
    server, _ = attending.servers[0].accept()
    server.sendall(b"220 hello")
    attending.work()
    assert client.recv(9) == b"220 hello", "a server that speaks first is heard"
    assert not attending.relay.has_moved() and attending.relay.keeping() == 0 and not attending.came
    client.sendall(b"HELO")
    attending.until(attending.relay.has_moved)
    assert attending.relay.keeping() == 1
    server.sendall(b"250 ok")
    attending.until(attending.relay.has_moved)
    client.close()
    server.close()


def test_silent_clients_are_led_on_when_another_one_has_woken_it(attending: Attending) -> None:
    one, other = attending.client(), attending.client()
    attending.until(lambda: attending.relay.silent() == 2)
    other.sendall(b"x")
    attending.until(lambda: attending.came)
    attending.lead()
    attending.until(lambda: attending.relay.connections() == 2)
    assert attending.relay.silent() == 0 and len(attending.came) == 1
    one.close()
    other.close()


def test_who_was_not_taken_and_has_sent_nothing_waits_for_data_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from carriers import arriving

    monkeypatch.setattr(arriving, "CONNECTING", 0)  # the workload takes nobody
    attending = Attending()
    attending.lead()
    mute, other = attending.client(), attending.client()
    attending.until(lambda: len(attending.relay.arriving.clients) == 2)
    assert attending.relay.waiting() == 0
    other.sendall(b"x")
    attending.work()
    attending.relay.lead_to(None)
    assert attending.relay.silent() == 1 and attending.relay.waiting() == 1
    mute.sendall(b"x")
    attending.until(lambda: attending.relay.waiting() == 2)
    for client in (mute, other):
        client.close()
    attending.close()


def test_clients_of_unix_sockets_are_awaited_too(tmp_path: Path) -> None:
    front = socket.socket(socket.AF_UNIX)
    front.bind(str(tmp_path / "socket"))
    front.listen()
    attending = Attending(0.2, front)
    with attending.client():
        attending.until(lambda: attending.tally.take().get("closed", (0, ""))[1].startswith("uid:"))
    with attending.client() as client:
        client.sendall(b"x")
        attending.until(lambda: attending.came)
    attending.close()


def test_a_failed_start_resets_silent_clients_as_all_others(attending: Attending) -> None:
    client = attending.client()
    attending.until(attending.relay.silent)
    attending.relay.reset_held()
    assert attending.relay.silent() == 0 and is_reset(client)
    client.close()


# The life


class Run:
    def __init__(self) -> None:
        self.said: list[str] = []

    def tell(self, packet: str) -> None:
        self.said.append(packet)

    def close(self) -> None: ...


class Carrier:
    """A carrier with some clients."""

    def __init__(self) -> None:
        self.mute, self.held = 0, 0

    def asking(self) -> bool:
        return False

    def silent(self) -> int:
        return self.mute

    def waiting(self) -> int:
        return self.held

    def first_held(self) -> object:
        return object() if self.held else None

    def __getattr__(self, name: str) -> Any:
        return lambda *_: 0


class Attended:
    """A life that waits for data, its clock, and the `run` that is there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock, self.carrier, self.run, self.asked = 100.0, Carrier(), Run(), 0
        self.is_there, self.has_door = False, True
        monkeypatch.setattr(time, "monotonic", lambda: self.clock)
        monkeypatch.setattr(relay_life, "now", lambda: 1000 + self.clock)
        carriers: Any = [self.carrier]
        self.life = relay_life.Life(carriers, None, False, self.ask, lambda client, since: ("10.0.0.9", since - 0.5),
                                    find=self.find, can_ask=lambda: self.has_door)

    def ask(self) -> Any:
        self.asked += 1
        return self.run

    def find(self) -> Any:
        if not self.is_there:
            raise ConnectionRefusedError
        return self.run


@pytest.fixture
def attended(monkeypatch: pytest.MonkeyPatch) -> Attended:
    return Attended(monkeypatch)


def test_a_relay_that_clients_have_started_asks_for_nothing_until_one_has_sent_data(attended: Attended) -> None:
    life: Any = attended.life
    life.begin(True)
    assert (life.state, attended.asked) == ("attending", 0)
    attended.carrier.held = 1
    life.meet(object())
    assert (life.state, attended.asked) == ("calling", 1)
    life.hear(["version", "2"])
    attended.clock += 3
    life.hear(["ready", "10.0.0.2"])
    assert attended.run.said == ["version 2", "client 10.0.0.9 1099.5000"], "it has waited since it sent its data"


def test_without_a_door_nobody_is_accepted_and_the_next_process_tries_again(attended: Attended) -> None:
    life: Any = attended.life
    attended.has_door = False
    life.begin(True)
    assert (life.state, life.heeded, attended.asked) == ("cut off", "ignore", 0)
    attended.clock += 0.1
    life.pass_time()
    assert life.state == "over"


def test_a_relay_whose_door_was_closed_by_an_upgrade_makes_room_for_the_next_one(attended: Attended) -> None:
    attended.life.begin(True)
    attended.carrier.mute, attended.has_door = 1, False
    attended.clock += 1.0
    attended.life.pass_time()
    assert attended.life.state == "over"


def test_the_door_is_found_without_a_connection_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "DOORS", str(tmp_path))
    monkeypatch.setattr(control, "PACKAGE", "ondemand-x")
    (tmp_path / "ondemand-x").mkdir()
    assert control.open_door() == ""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.bind(str(tmp_path / "ondemand-x/socket"))
        assert control.open_door() == "", "nothing listens there yet"
        door.listen()
        assert control.open_door() == str(os.fstat(door.fileno()).st_ino)
        door.setblocking(False)
        with pytest.raises(BlockingIOError):
            door.accept()
    assert control.open_door() == ""


def test_a_relay_that_no_client_has_started_is_there_to_wake(attended: Attended) -> None:
    attended.life.begin(False)
    assert (attended.life.state, attended.asked) == ("calling", 1)


def test_the_process_ends_within_a_second_after_the_last_silent_client(attended: Attended) -> None:
    attended.life.begin(True)
    attended.carrier.mute = 1
    for _ in range(30):
        attended.clock += attended.life.pass_time() or 0
        assert attended.life.state == "attending"
    attended.carrier.mute = 0
    attended.clock += 1.0
    attended.life.pass_time()
    assert attended.life.state == "over" and not attended.asked


def test_a_wake_without_a_client_is_noticed_within_a_second_though_silent_clients_come_and_go(attended: Attended) -> None:
    attended.life.begin(True)
    attended.carrier.mute, attended.is_there = 1, True
    attended.clock += 1.0
    attended.life.pass_time()
    attended.life.hear(["version", "2"])
    attended.life.hear(["ready", "10.0.0.2"])
    assert attended.life.state == "serving" and not attended.asked


def test_one_that_was_at_its_end_is_not_started_again(attended: Attended) -> None:
    attended.life.begin(True)
    attended.is_there = True
    attended.clock += 1.0
    attended.life.pass_time()
    attended.life.hear([])
    assert attended.life.state == "attending" and not attended.asked


def test_a_silent_client_that_meets_the_end_of_a_life_starts_no_other(attended: Attended) -> None:
    life = attended.life
    life.begin(False)
    for packet in (["version", "2"], ["ready", "10.0.0.2"], ["stopping"], []):
        life.hear(packet)
    attended.carrier.mute = 1
    life.pass_time()
    assert life.state == "attending" and attended.asked == 1


def test_the_call_says_how_long_data_are_awaited() -> None:
    assert relay.arguments(["--data-timeout", "2.5", "80"])[-2] == 2.5
    assert relay.arguments(["80"])[-2] is None
    assert relay.main(["--data-timeout", "x", "80"]) == 2


# What is told


def test_the_journal_gets_one_record_a_minute_or_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock: list[float] = [100.0]
    sent: list[dict[str, object]] = []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(unwoken, "JOURNAL_LOOK", 0.0)
    monkeypatch.setattr(unwoken, "send", lambda fields: sent.append(dict(fields)))
    tally = carriers.Tally()
    account = unwoken.Unwoken(tally)
    assert account.see_to() is None
    tally.note("closed", "10.0.0.1")
    assert account.see_to() == 60.0
    tally.note("closed", "10.0.0.3")
    tally.note("closed", "10.0.0.2")
    clock[0] += 60
    assert account.see_to() is None
    assert [(one["ONDEMAND_CLOSED"], one["ONDEMAND_CLIENT"]) for one in sent] == [(3, "10.0.0.2")]
    assert sent[0]["MESSAGE"] == "3 connections were closed without data, the last from 10.0.0.2; nothing was woken"
    tally.note("closed", "10.0.0.3")
    account.end()
    assert sent[1]["MESSAGE"] == "1 connection was closed without data, the last from 10.0.0.3; nothing was woken"
    account.end()
    assert len(sent) == 2


def test_status_adds_up_what_the_journal_says_of_a_unit_and_leaves_out_what_is_no_record() -> None:
    from ondemand_host import systemd

    lines = ['{"_SYSTEMD_UNIT":"ondemand-web.service","ONDEMAND_CLOSED":"2","ONDEMAND_CLIENT":"10.0.0.2",'
             '"__REALTIME_TIMESTAMP":"5000000"}', "x", '{"_SYSTEMD_UNIT":"ondemand-web.service","ONDEMAND_CLOSED":"x"}',
             '{"_SYSTEMD_UNIT":"ondemand-web.service","ONDEMAND_CLOSED":"3","ONDEMAND_CLIENT":"10.0.0.1",'
             '"__REALTIME_TIMESTAMP":"4000000"}']
    assert systemd.parse_unwoken("\n".join(lines)) == {
        "ondemand-web.service": {"ONDEMAND_CLOSED": systemd.Unwoken(5, "10.0.0.2", 5.0)}}


def test_status_shows_what_woke_nothing_and_who_it_was_last() -> None:
    from ondemand_host import services, systemd, table

    service = services.Service("web", "asleep", ("[::]:80",), 0, unwoken={"ONDEMAND_CLOSED": systemd.Unwoken(5, "10.0.0.2", 0.0)})
    told = list(table.lines(services.Survey((service,)), 0.0, 200, True, lambda text, colour="", bold=False: text))
    assert "web: woke nothing in 30 days: 5 connections closed without data, the last 1970-01-01T00:00:00Z from 10.0.0.2" in told
    found = json.loads(table.as_json(services.Survey((service,))))["services"][0]
    assert found["closed_without_data"] == {"count": 5, "client": "10.0.0.2", "time": "1970-01-01T00:00:00Z"}
