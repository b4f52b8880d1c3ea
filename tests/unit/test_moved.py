"""A container that gets another address while it is awake: clients are led there once the one that was known takes nobody."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import relay_life
import relay_states
from run_host import ENGINES, Host, until
from test_arriving import Ports


@pytest.fixture(params=ENGINES)
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    found = Host(request.param(tmp_path), tmp_path, monkeypatch)
    yield found
    found.close()


def test_who_asks_for_the_address_hears_a_new_one_and_so_does_who_comes_later(
    host: Host, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:
    addresses = ["127.0.0.1"]

    def script(client: Any) -> None:
        until(client, "started")
        monkeypatch.setattr(host.process.engine, "addresses", lambda _: list(addresses))
        client.tell("listens")
        assert until(client, "ready") == ["ready", "127.0.0.1"]
        client.tell("where")  # it is where it was
        addresses[:] = []
        client.tell("where")  # it is nowhere
        time.sleep(0.1)
        addresses[:] = ["198.51.100.2", "2001:db8::2"]
        client.tell("where")
        assert client.receive() == ["moved", "198.51.100.2"]
        assert host.client().receive() == ["ready", "198.51.100.2"]
        host.engine.exits(0)

    assert host.run(script) == 0
    assert capfd.readouterr().err.count("the container has another address now: 198.51.100.2") == 1


def test_a_relay_asks_where_the_container_is_and_leads_its_clients_there() -> None:
    carrier, told = Carrier(), []
    fakes: list[Any] = [carrier]

    def connect() -> Any:
        """No `run` is there to be asked."""

    life = relay_life.Life(fakes, None, False, connect, lambda client, since: ("", since))
    life.control = type("Control", (), {"tell": lambda self, packet: told.append(packet)})()
    life.doubt()
    life.hear(["moved", "198.51.100.2"])
    assert told == [] and carrier.address is None, "it is not ready yet"
    life.state = relay_states.SERVING
    life.doubt()
    assert told == ["where"]
    life.hear(["moved", "198.51.100.2"])
    assert carrier.address == (socket.AF_INET, "198.51.100.2") and life.state == relay_states.SERVING


class Carrier:
    """A carrier that is only led."""

    address: object = None

    def lead_to(self, address: object) -> None:
        self.address = address

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


@pytest.mark.parametrize("backlog", [None, 0])
def test_clients_whom_nobody_takes_are_asked_about_and_led_to_another_address(backlog: int | None) -> None:
    server = socket.create_server(("127.0.0.1", 0), backlog=backlog or 1)
    port = server.getsockname()[1]
    if backlog is None:
        server.close()  # it refuses
    ports = Ports(server) if backlog is not None else Ports(elsewhere := socket.create_server(("127.0.0.2", port)))
    asked: list[float] = []
    ports.relay.on_doubt = lambda: asked.append(time.monotonic())
    ports.lead()
    begin = time.monotonic()
    clients = [ports.client() for _ in range(5)]
    ports.until(lambda: asked)
    assert asked[0] - begin < 3
    if backlog is not None:
        elsewhere = socket.create_server(("127.0.0.2", port))
    waiting = ports.relay.waiting()
    ports.relay.lead_to((socket.AF_INET, "127.0.0.2"))
    ports.until(lambda: ports.relay.waiting() == 0)
    elsewhere.setblocking(False)
    taken = [elsewhere.accept()[0] for _ in range(waiting)]
    assert taken
    for one in (*clients, *taken):
        one.close()
    elsewhere.close()
    ports.close()
