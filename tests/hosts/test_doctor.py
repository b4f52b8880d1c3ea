"""What administrators may rely on of `ondemand doctor`, `wake`, `sleep` and `logs`, on the oldest and on the newest Debian."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import built
from .machine import Machine
from .test_status import TOOL, install_tool, open_clients

SITE = """
[package]
version = "1"

[container.web]
image   = "nginx:1.27"
ports   = ["80:80"]
volumes = ["/srv/there:/there"]

[container.naps]
image       = "nginx:1.27"
ports       = ["8082:80"]
idle        = "10min"
idle_action = "pause"

[container.front]
image    = "nginx:1.27"
ports    = ["8083:80"]
requires = ["web"]

[container.gone]
image = "localhost:1/gone:1"
ports = ["8081:80"]
"""


@pytest.fixture(scope="module")
def site(host: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    install_tool(host)
    host.run("mkdir", "-p", "/srv/there")
    packages = built(tmp_path_factory.mktemp("doctor"), SITE)
    host.apt_install(*(packages[f"deb/{name}"] for name in ("web", "naps", "front")))
    yield host


def ondemand(machine: Machine, *argv: str, check: bool = True) -> Any:
    return machine.run("env", f"PYTHONPATH={TOOL}", "python3", "-m", "ondemand_host", *argv, check=check)


def troubles(machine: Machine, name: str = "web") -> list[str]:
    """Return what is wrong with a service, a text for each thing."""
    done = ondemand(machine, "doctor", "--json", name, check=False)
    found = json.loads(done.stdout)
    assert done.returncode == (1 if any(found.values()) else 0), done.stdout + done.stderr
    return ["{severity}: {finding}; {remedy}".format(**one) for one in found[name]]


def test_with_a_service_that_was_just_installed_nothing_is_wrong(site: Machine) -> None:
    assert troubles(site) == []
    assert "web: nothing wrong" in ondemand(site, "doctor", "web", check=False).stdout


def test_a_service_is_woken_without_a_client_and_put_to_sleep_again(site: Machine) -> None:
    said = ondemand(site, "wake", "web", "naps").stdout
    assert "web: awake after " in said and "naps: awake after " in said
    assert site.inspect("ondemand-web")["State"]["Running"] and site.inspect("ondemand-naps")["State"]["Running"]
    assert ondemand(site, "wake", "web").stdout == "web: was awake already\n"
    assert ondemand(site, "sleep", "web").stdout == "web: asleep\n"
    assert not site.inspect("ondemand-web")["State"]["Running"] and site.get("http://127.0.0.1/") == "200"
    assert ondemand(site, "sleep", "web", "web").stdout == "web: asleep\n"
    assert ondemand(site, "sleep", "web").stdout == "web: was asleep already\n"


def test_what_sleeps_paused_is_paused_and_resumed(site: Machine) -> None:
    ondemand(site, "wake", "naps")
    for _ in range(2):
        assert ondemand(site, "sleep", "naps").stdout == "naps: asleep (paused)\n"
        assert site.inspect("ondemand-naps")["State"]["Paused"]
        assert ondemand(site, "sleep", "naps").stdout == "naps: was asleep already (paused)\n"
        assert "naps: awake after " in ondemand(site, "wake", "naps").stdout
        assert not site.inspect("ondemand-naps")["State"]["Paused"]
    site.run("systemctl", "stop", "ondemand-naps-container")


def test_open_connections_and_services_that_require_it_keep_a_service_awake(site: Machine) -> None:
    ondemand(site, "wake", "web")
    with open_clients(site, 80, 2):
        done = ondemand(site, "sleep", "web", check=False)
        assert (done.returncode, done.stderr) == (
            1, "error: web: 2 open connections keep it awake; wait for the end, or cut with --force\n")
        assert ondemand(site, "sleep", "--force", "web").stdout == "web: asleep\n"
    ondemand(site, "wake", "front")
    done = ondemand(site, "sleep", "web", check=False)
    assert (done.returncode, done.stderr) == (1, "error: web: front, which requires it, keeps it awake\n")
    assert ondemand(site, "sleep", "web", "front").stdout == "front: asleep\nweb: asleep\n"


@pytest.mark.parametrize(("harm", "finding", "cure"), [
    ("systemctl disable --now ondemand-web.socket", "error: ondemand-web.socket is disabled",
     "systemctl enable --now ondemand-web.socket"),
    ("systemctl stop ondemand-web.socket", "error: ondemand-web.socket does not listen although it is enabled",
     "systemctl start ondemand-web.socket"),
    ("systemctl mask ondemand-web-container.service", "error: ondemand-web-container.service is masked",
     "systemctl unmask ondemand-web-container.service"),
    ("docker rename ondemand-web kept", "warning: the container ondemand-web does not exist", "docker rename kept ondemand-web"),
    ("docker rename ondemand-web kept; docker create --name ondemand-web nginx:1.27",
     "error: the next wake fails: the container ondemand-web was not made by this package",
     "docker rm ondemand-web; docker rename kept ondemand-web"),
    ("docker start ondemand-web", "warning: the container ondemand-web runs without its service", "docker stop ondemand-web"),
    ("rmdir /srv/there", "warning: /srv/there, which the container uses (/srv/there:/there), does not exist", "mkdir /srv/there"),
    ("cp -p /etc/ondemand/web.env /root; echo 'no line' >> /etc/ondemand/web.env",
     ": not a KEY=value line; ignored", "cp -p /root/web.env /etc/ondemand"),
    ("mkdir -p /etc/systemd/system/ondemand-web-container.service.d; "
     "printf '[Service]\\nKillMode=process\\n' > /etc/systemd/system/ondemand-web-container.service.d/x.conf; "
     "systemctl daemon-reload", "x.conf changes KillMode=", "rm -r /etc/systemd/system/ondemand-web-container.service.d; "
     "systemctl daemon-reload"),
    ("chmod -x /usr/libexec/ondemand-web/relay", "is not executable", "chmod +x /usr/libexec/ondemand-web/relay"),
    ("systemctl stop docker.socket docker.service", "warning: the Docker engine is not running; the next wake starts it",
     "systemctl start docker.service")])
def test_what_is_wrong_is_said_until_it_is_put_right(site: Machine, harm: str, finding: str, cure: str) -> None:
    site.sh(harm)
    try:
        (one,) = troubles(site)
        assert finding in one
        if "docker.service" in harm:
            assert site.run("systemctl", "is-active", "docker.service", check=False).stdout == "inactive\n", "it only looks"
    finally:
        site.sh(cure)
    assert troubles(site) == []


def test_an_image_that_is_missing_is_said_before_a_client_finds_out(site: Machine, tmp_path: Any) -> None:
    site.apt_install(built(tmp_path, SITE)["deb/gone"])
    (one,) = troubles(site, "gone")
    assert one.startswith("error: the image localhost:1/gone:1 is not on this host") and "docker pull localhost:1/gone:1" in one
    site.clients(1, ("127.0.0.1", 8081))
    site.sh("until systemctl is-active ondemand-gone-container | grep -q 'inactive\\|failed'; do sleep 0.05; done", timeout=60)
    assert any("the last wake failed" in one or "wakes failed" in one for one in troubles(site, "gone"))
    done = ondemand(site, "wake", "gone", check=False)
    assert done.returncode == 1 and done.stderr.startswith("error: gone: 'docker create' failed for the image localhost:1/gone:1")


def test_the_containers_output_and_the_services_messages_are_shown_together(site: Machine) -> None:
    assert site.get("http://127.0.0.1/") == "200"
    site.sh("until journalctl -u ondemand-web-container | grep -q 'woken by'; do sleep 0.1; done", timeout=60)
    said = ondemand(site, "logs", "ondemand-web").stdout
    assert "woken by 127.0.0.1" in said and "Listening on" in said
    following = site.start("env", f"PYTHONPATH={TOOL}", "python3", "-m", "ondemand_host", "logs", "--follow", "--lines=0", "web")
    site.sh("sleep 1; systemctl stop ondemand-web-container")
    assert following.stdout is not None
    assert any("ondemand-web" in following.stdout.readline() for _ in range(6)), "the first lines may be journalctl's own"
    following.kill()
