"""What the units say, whatever a declaration holds."""

from __future__ import annotations

import dataclasses
import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondemand_pkg.contents.rendering import unit_value
from ondemand_pkg.contents.units import preset, units
from ondemand_pkg.model import SOCKET_PROXYD, Container, Port, Ready, ReadyKind, TcpAddress, UdpAddress, UnixAddress

NGINX = Container("nginx", "nginx:1.27", "1.27.0", (Port(TcpAddress(None, 80), 80),))


def settings(text: str) -> dict[str, list[str]]:
    """The settings of a unit, each with its values in order (systemd.syntax(7))."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_only_the_socket_can_be_enabled() -> None:
    enabled = [name for name, text in units(NGINX).items() if "[Install]" in text]
    assert enabled == ["ondemand-nginx.socket"]
    assert preset(NGINX) == ("80-ondemand-nginx.preset", "enable ondemand-nginx.socket\n")


def test_the_socket_starts_the_relay_and_the_relay_asks_for_the_container_at_a_door_that_no_other_user_comes_to() -> None:
    texts = {name: settings(text) for name, text in units(NGINX).items()}
    socket, proxy, door = (texts[f"ondemand-nginx{ending}"] for ending in (".socket", ".service", "-container.socket"))
    assert socket["Wants"] == socket["After"] == ["ondemand-nginx-container.socket"]
    assert proxy["Wants"] == ["ondemand-nginx-container.service", "ondemand-nginx-container.socket"], "they start side by side"
    assert door["ListenSequentialPacket"] == ["/run/ondemand.doors/ondemand-nginx/socket"] and door["DirectoryMode"] == ["0700"]
    assert door["PartOf"] == ["ondemand-nginx.socket"] and door["TriggerLimitIntervalSec"] == ["0"]
    assert proxy["BindPaths"] == ["-/run/ondemand.doors/ondemand-nginx/socket:/run/ondemand.door"]
    assert proxy["ExecStart"] == ["/usr/libexec/ondemand-nginx/relay --door /run/ondemand.door 80"]


def test_the_kernel_drops_the_packets_of_all_who_are_not_allowed() -> None:
    allowed = dataclasses.replace(NGINX, allow=(ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1")))
    socket = settings(units(allowed)["ondemand-nginx.socket"])
    assert socket["IPAddressDeny"] == ["any"] and socket["IPAddressAllow"] == ["10.0.0.0/8 ::1/128"]


def test_datagrams_and_connections_come_by_one_socket_unit_in_the_order_of_their_ports() -> None:
    ports = (Port(UdpAddress(None, 53), 5353), Port(TcpAddress(None, 53), 53),
             Port(UdpAddress(ipaddress.ip_address("::1"), 54), 54))
    texts = units(dataclasses.replace(NGINX, ports=ports, udp_timeout=90.0, ready=Ready(ReadyKind.UDP, send=b"?")))
    socket = texts["ondemand-nginx.socket"]
    assert [line for line in socket.splitlines() if line.startswith("Listen")] == [
        "ListenDatagram=53", "ListenStream=53", "ListenDatagram=[::1]:54"]
    assert settings(socket)["PassPacketInfo"] == ["yes"] and "NoDelay" not in settings(socket), "which no socket of UDP takes"
    assert settings(texts["ondemand-nginx.service"])["ExecStart"][0].endswith("--udp-timeout 90 5353/udp 53 54/udp")
    assert settings(texts["ondemand-nginx-container.service"])["ExecStart"][0].endswith("--by udp 53 5353/udp 54/udp")
    assert not {"PassPacketInfo", "ReceiveBuffer"} & settings(units(NGINX)["ondemand-nginx.socket"]).keys()


def test_systemds_own_proxy_can_be_had() -> None:
    texts = units(dataclasses.replace(NGINX, proxy=SOCKET_PROXYD))
    proxy = settings(texts["ondemand-nginx.service"])
    assert proxy["BindsTo"] == ["ondemand-nginx-container.service"]
    program, limit, port = proxy["ExecStart"][0].split()
    connections = int(limit.removeprefix("--connections-max="))
    assert (program, port) == ("/usr/libexec/ondemand-nginx/proxyd", "80")
    assert 6 * connections < int(proxy["LimitNOFILE"][0]) <= 524288
    socket = settings(texts["ondemand-nginx.socket"])
    assert socket["FlushPending"] == ["yes"]
    assert len(texts) == 3 and "Wants" not in socket, "no door"


@pytest.mark.parametrize(("changes", "options"), [
    ({"idle": 600.0}, "--idle 600"), ({"idle": 0.5, "idle_mode": "connections"}, "--idle 0.5 --idle-mode connections"),
    ({"allow": (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1"))}, "--allow 10.0.0.0/8 --allow ::1/128"),
    ({"proxy_protocol": "v2"}, "--proxy-protocol v2"), ({"idle": 60.0, "proxy_protocol": "v1"}, "--idle 60 --proxy-protocol v1")])
def test_the_relay_is_told_what_is_declared(changes: dict[str, Any], options: str) -> None:
    proxy = settings(units(dataclasses.replace(NGINX, **changes))["ondemand-nginx.service"])
    assert proxy["ExecStart"] == [f"/usr/libexec/ondemand-nginx/relay --door /run/ondemand.door {options} 80"]


def test_the_container_service_is_told_where_metrics_go() -> None:
    told = settings(units(dataclasses.replace(NGINX, metrics="/srv/textfile"))["ondemand-nginx-container.service"])
    assert told["ExecStart"] == ["/usr/libexec/ondemand-nginx/run --metrics /srv/textfile -- --timeout 60 80"]
    usual = settings(units(NGINX)["ondemand-nginx-container.service"])
    assert usual["ExecStart"] == ["/usr/libexec/ondemand-nginx/run -- --timeout 60 80"]


def test_no_number_of_wakes_closes_the_port() -> None:
    texts = {name: settings(text) for name, text in units(NGINX).items()}
    assert texts["ondemand-nginx.socket"]["TriggerLimitIntervalSec"] == ["0"]
    assert texts["ondemand-nginx.service"]["StartLimitIntervalSec"] == ["0"]
    assert texts["ondemand-nginx-container.service"]["StartLimitIntervalSec"] == ["0"]


def test_every_declared_address_is_listened_on() -> None:
    several = dataclasses.replace(NGINX, ports=(
        Port(TcpAddress(None, 80), 8080), Port(TcpAddress(ipaddress.ip_address("::1"), 81), 8081),
        Port(UnixAddress("/run/100%.sock"), 8080)))
    texts = units(several)
    socket = settings(texts["ondemand-nginx.socket"])
    assert socket["ListenStream"] == ["80", "[::1]:81", "/run/100%%.sock"]
    assert socket["FreeBind"] == ["yes"] and socket["RemoveOnStop"] == ["yes"]
    assert settings(texts["ondemand-nginx.service"])["ExecStart"][0].endswith("/run/ondemand.door 8080 8081 8080")
    assert " 8080 8081" in settings(texts["ondemand-nginx-container.service"])["ExecStart"][0]


def test_the_time_to_get_ready_and_to_stop_are_those_declared() -> None:
    slow = dataclasses.replace(NGINX, ready=Ready(ReadyKind.TCP, 90.5), stop_timeout=120)
    unit = settings(units(slow)["ondemand-nginx-container.service"])
    assert unit["ExecStart"][0].endswith(" -- --timeout 90.5 80")
    assert int(unit["TimeoutStartSec"][0]) > 90 and int(unit["TimeoutStopSec"][0]) > 120


@pytest.mark.parametrize(("ready", "run", "waitport"), [
    (Ready(), "run", "--timeout 60 80"), (Ready(is_any=True), "run", "--timeout 60 --need any 80"),
    (Ready(ports=(80, 81)), "run", "--timeout 60 --need 80,81 80"),
    (Ready(ReadyKind.HTTP, path='/"%n$x', timeout=5), "run", "--timeout 5 --by http 80"),
    (Ready(ReadyKind.EXEC, argv=("%n",)), "run", "--timeout 60 --by exec 80"),
    (Ready(ReadyKind.HEALTHCHECK), "run", "--timeout 60 --by healthcheck 80"),
    (Ready(ReadyKind.LOG, text='"%n'), "run --log", "--timeout 60 --by log 80")])
def test_the_kind_of_readiness_stands_in_the_unit_and_no_text_of_the_declaration(ready: Ready, run: str, waitport: str) -> None:
    unit = settings(units(dataclasses.replace(NGINX, ready=ready))["ondemand-nginx-container.service"])
    assert unit["ExecStart"] == [f"/usr/libexec/ondemand-nginx/{run} -- {waitport}"]


def test_a_required_container_is_woken_with_its_proxy() -> None:
    unit = settings(units(dataclasses.replace(NGINX, requires=("db", "c++")))["ondemand-nginx-container.service"])
    assert unit["Wants"][1:] == ["ondemand-db.service ondemand-db-container.service",
                                 "ondemand-c__.service ondemand-c__-container.service"]
    assert unit["ExecStart"] == ["/usr/libexec/ondemand-nginx/run --require db --require c++ -- --timeout 60 80"]


def test_run_is_told_to_pause_the_container_where_that_is_declared() -> None:
    unit = settings(units(dataclasses.replace(NGINX, idle=60.0, idle_action="pause"))["ondemand-nginx-container.service"])
    assert unit["ExecStart"][0].startswith("/usr/libexec/ondemand-nginx/run --pause -- ")


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1).map(str.strip).filter(bool))
def test_a_description_stays_one_line_of_its_unit(description: str) -> None:
    plain = units(NGINX)
    for name, text in units(dataclasses.replace(NGINX, description=description)).items():
        lines, usual = text.split("\n"), plain[name].split("\n")
        assert len(lines) == len(usual)
        assert [line for line in lines if not line.startswith("Description=")] == [
            line for line in usual if not line.startswith("Description=")]


@pytest.mark.parametrize(("text", "written"), [
    ("100% %n", "100%% %%n"), ("a\\", "a\\ "), ("a\\b", "a\\b"), ("$HOME; #x \"q\"", "$HOME; #x \"q\"")])
def test_only_what_systemd_would_take_for_syntax_is_escaped(text: str, written: str) -> None:
    assert unit_value(text) == written


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\0b"])
def test_what_can_never_be_one_line_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        unit_value(text)
