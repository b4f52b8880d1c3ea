"""Containers of other kinds than a plain web server, woken by their first request."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import built
from .machine import Machine

SITE = """
[package]
version = "1"

[container.slow]
image   = "servers:1"
ports   = ["8001:80"]
env     = { DELAY = "3" }

[container.greets]
image   = "servers:1"
ports   = ["8002:80"]
command = ["/servers/speaks_first.py"]

[container.several]
image   = "servers:1"
ports   = ["8003:80", "127.0.0.1:8004:81", "[::1]:8005:82", "/run/several.sock:81"]
env     = { PORTS = "80 81 82" }

[container.left]
image   = "servers:1"
ports   = ["8006:80"]
command = ["/servers/asks.py", "172.17.0.1", "8007"]

[container.right]
image   = "servers:1"
ports   = ["8007:80"]
command = ["/servers/asks.py", "172.17.0.1", "8006"]

[container."c++.web-1"]
image   = "servers:1"
ports   = ["8008:80"]

[container.dies]
image   = "servers:1"
ports   = ["8009:80"]
command = ["/servers/exits.py", "3"]

[container.deaf]
image   = "servers:1"
ports   = ["8010:9"]
ready   = { tcp = true, timeout = "1s" }

[container.nowhere]
image   = "localhost:1/nowhere:1"
ports   = ["8011:80"]

[container.ownnet]
image       = "servers:1"
ports       = ["8012:8013"]
env         = { PORTS = "8013" }
create_args = ["--network=host"]
"""


@pytest.fixture(scope="module")
def site(host: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    packages = built(tmp_path_factory.mktemp("site"), SITE)
    host.apt_install(*(path for key, path in packages.items() if key.startswith("deb/")))
    return host


def asleep(machine: Machine, name: str) -> None:
    machine.run("systemctl", "stop", f"ondemand-{name}-container.service")


def test_a_server_that_needs_three_seconds_to_listen_loses_no_client(site: Machine) -> None:
    asleep(site, "slow")
    assert site.clients(200, ("127.0.0.1", 8001)) == ["HTTP/1.0 200 OK"] * 200


def test_fifty_cold_starts_of_a_server_that_speaks_first_all_greet(site: Machine) -> None:
    greetings = []
    for _ in range(50):
        asleep(site, "greets")
        greetings += site.clients(1, ("127.0.0.1", 8002), "")
    assert greetings == ["220 hello"] * 50


def test_two_hundred_clients_of_a_server_that_speaks_first_are_all_greeted(site: Machine) -> None:
    asleep(site, "greets")
    assert site.clients(200, ("127.0.0.1", 8002), "") == ["220 hello"] * 200


@pytest.mark.parametrize(("options", "port"), [
    (["http://127.0.0.1:8003/"], 80), (["http://127.0.0.1:8004/"], 81), (["http://[::1]:8005/"], 82),
    (["--unix-socket", "/run/several.sock", "http://several/"], 81)])
def test_each_address_leads_to_its_own_port_of_the_container(site: Machine, options: list[str], port: int) -> None:
    asleep(site, "several")
    assert f'"port": {port}' in site.run("curl", "-sS", *options).stdout


def test_two_containers_that_need_each_other_both_come_up(site: Machine) -> None:
    asleep(site, "left")
    asleep(site, "right")
    (answer,) = site.clients(1, ("127.0.0.1", 8006), "GET /told HTTP/1.0\r\n\r\n")
    assert answer.startswith("HTTP/1.0 200 my peer said HTTP/1.0 200 my peer said")


def test_a_name_may_hold_every_character_that_names_may_hold(site: Machine) -> None:
    assert site.get("http://127.0.0.1:8008/") == "200"
    assert site.inspect("ondemand-c__.web-1")["State"]["Running"]


def test_a_container_on_the_hosts_network_is_reached_there(site: Machine) -> None:
    assert site.get("http://127.0.0.1:8012/") == "200"


def test_a_container_that_exits_while_it_starts_is_told_with_its_last_words(site: Machine) -> None:
    site.clients(20, ("127.0.0.1", 8009))
    said = site.journal("ondemand-dies-container")
    assert "last words on stdout" in said and "last words on stderr" in said
    assert 'ondemand-dies: the container exited before it was ready; last output: "' in said


def test_a_container_that_never_listens_is_told_with_what_was_waited_for(site: Machine) -> None:
    site.clients(1, ("127.0.0.1", 8010))
    said = site.journal("ondemand-deaf-container")
    assert "ondemand-deaf: timed out after 1 s waiting for the container to listen on 172.17.0." in said and ":9 (" in said
    assert "; it listens on 80: correct its port in 'ports'; if it needs longer" in said


def test_an_image_that_cant_be_had_is_told_with_what_the_engine_said(site: Machine) -> None:
    site.clients(1, ("127.0.0.1", 8011))
    said = site.journal("ondemand-nowhere-container")
    assert "ondemand-nowhere: 'docker create' failed for the image localhost:1/nowhere:1: " in said and "refused" in said


@pytest.mark.parametrize(("name", "port"), [("dies", 8009), ("nowhere", 8011)])
def test_a_failing_start_turns_its_clients_away_and_the_socket_lives_on(site: Machine, name: str, port: int) -> None:
    for _ in range(3):
        outcomes = site.clients(50, ("127.0.0.1", port), limit=30)
        assert "TimeoutError" not in outcomes and not any(outcome.startswith("HTTP") for outcome in outcomes)
    assert site.sh(f"systemctl is-active ondemand-{name}.socket") == "active\n"


def test_the_first_success_after_a_failure_needs_no_administrator(site: Machine) -> None:
    site.clients(50, ("127.0.0.1", 8011), limit=30)
    site.run("docker", "tag", "servers:1", "localhost:1/nowhere:1")
    site.until_answered("http://127.0.0.1:8011/")


def test_a_container_that_was_pruned_comes_back_at_the_next_wake(site: Machine) -> None:
    asleep(site, "slow")
    site.run("docker", "container", "prune", "--force")
    assert site.get("http://127.0.0.1:8001/") == "200"


def test_an_engine_that_is_down_is_started_by_the_wake(site: Machine) -> None:
    asleep(site, "slow")
    site.run("systemctl", "stop", "docker.socket", "docker.service")
    assert site.get("http://127.0.0.1:8001/") == "200"


def test_the_proxy_is_locked_in(site: Machine, tmp_path: Path) -> None:
    said = site.sh("systemd-analyze security --no-pager ondemand-slow.service | tail -1")
    assert float(said.split("service: ")[1].split()[0]) < 2.0
