"""No helper connects to a socket of its own service, whatever a container's addresses are."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import addresses
import own_sockets
import proxyd
import pytest
from carriers.ends import Listener
from carriers.streams import Streams
from loop import Loop
from process import Failure
from run_host import ENGINES, Host, until


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


@pytest.mark.parametrize(("host", "local"), [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("192.0.2.1", False),
                                             ("2001:db8::1", False)])
def test_the_hosts_own_addresses_are_known(host: str, local: bool) -> None:
    assert own_sockets.is_local(host) == local


@pytest.mark.parametrize(("own", "host", "back"), [
    ("127.0.0.1", "127.0.0.1", True), ("127.0.0.1", "127.0.0.2", False), ("127.0.0.1", "::1", False),
    ("0.0.0.0", "127.0.0.1", True), ("0.0.0.0", "::1", False), ("0.0.0.0", "192.0.2.1", False), ("::1", "::1", True),
    ("::", "::1", True), ("::", "127.0.0.1", True), ("::", "192.0.2.1", False)])
def test_an_address_leads_back_where_the_listening_socket_takes_it(own: str, host: str, back: bool) -> None:
    family = socket.AF_INET6 if ":" in own else socket.AF_INET
    with socket.create_server((own, 0), family=family, dualstack_ipv6=own == "::") as listener:
        found: Any = listener
        assert own_sockets.leads_back(found, host, port_of(listener)) == back
        assert not own_sockets.leads_back(found, host, port_of(listener) + 1)


def test_a_socket_of_ipv6_alone_takes_no_ipv4() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6) as listener:
        found: Any = listener
        assert not own_sockets.leads_back(found, "127.0.0.1", port_of(listener))
        assert own_sockets.leads_back(found, "::1", port_of(listener))


def test_unix_sockets_lead_nowhere(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        found: Any = listener
        assert not own_sockets.leads_back(found, "127.0.0.1", 80)


def test_addresses_at_which_systemd_listens_are_left_out(listening: socket.socket) -> None:
    port = port_of(listening)
    assert own_sockets.without_own(["127.0.0.1", "::1"], [port], os.getpid()) == ["::1"]
    assert own_sockets.without_own(["127.0.0.1", "::1"], [1], os.getpid()) == ["127.0.0.1", "::1"]
    with pytest.raises(Failure, match=rf"systemd itself listens on 127\.0\.0\.1:{port}, .*; listen on another port with 'ports'"):
        own_sockets.without_own(["127.0.0.1"], [1, port], os.getpid())


def test_a_relay_resets_clients_that_it_would_lead_to_itself(listening: socket.socket) -> None:
    address = listening.getsockname()
    inner: Any = own_sockets.listening_socket(os.dup(listening.fileno()))
    loop = Loop()
    relay = Streams(loop, [Listener(inner, address[1])])
    relay.on_client = lambda _: None
    relay.heed("accept")
    relay.lead_to((socket.AF_INET, "127.0.0.1"))
    with socket.create_connection(address, 10) as client:
        loop.turn(10)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert not relay.arriving.attempts and not relay.waiting()


@pytest.mark.parametrize("own", [True, False])
def test_systemds_proxy_is_not_led_to_itself(
    own: bool, listening: socket.socket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    inner: Any = own_sockets.listening_socket(os.dup(listening.fileno()))
    ready: Any = type("Ready", (), {"receive": lambda self: ["ready", "127.0.0.1"]})()
    executed: list[str] = []
    monkeypatch.setattr(proxyd, "passed_sockets", lambda: [inner])
    monkeypatch.setattr(proxyd, "connected", lambda: ready)

    def execute(path: str, argv: list[str]) -> None:
        executed.extend(argv)
        raise SystemExit

    monkeypatch.setattr(os, "execv", execute)
    port = port_of(listening) + (not own)
    if own:
        assert proxyd.main(["--connections-max=1", str(port)]) == 1
        assert f"systemd itself listens on 127.0.0.1:{port}, " in capsys.readouterr().err and not executed
    else:
        with pytest.raises(SystemExit):
            proxyd.main(["--connections-max=1", str(port)])
        assert executed[-1] == f"127.0.0.1:{port}"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("options", [(), ("--timeout", "5", "--by", "healthcheck")])
def test_a_start_fails_with_the_reason_before_any_helper_knows_an_address_of_ours(
    engine: Any, options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    host = Host(engine(tmp_path), tmp_path, monkeypatch)
    monkeypatch.setattr("run.wait_beside", lambda *_: (0, os.pipe()[0]))

    def script(client: Any) -> None:
        until(client, "failed")

    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        port = port_of(listener)
        monkeypatch.setattr(addresses, "held_by", lambda _, held=addresses.held_by: held(os.getpid()))
        assert host.run(script, "--", *options, str(port)) == 1
    assert f"systemd itself listens on 127.0.0.1:{port}, where the container would be reached" in capsys.readouterr().err
    assert not [word for word in host.told if word.startswith(("started", "ready"))]
    host.close()
