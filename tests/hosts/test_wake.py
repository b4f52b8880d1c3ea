"""When clients are led to a container, whom it wakes first, how it sleeps paused, and what a failing start does, on Debian 12
and 13."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
from requirements import need

from .conftest import TOOLS, built
from .machine import Machine, fresh, has_memory_controller

# Listens at once and says no, until half a second has passed and the file /cause/gone is there (but where it fails otherwise).
SERVER = r"""
import http.server, os, pathlib, signal, socket, sys, threading, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
mode, cause, ready = os.environ["MODE"], pathlib.Path("/cause/gone"), threading.Event()
if mode == "exits" and not cause.exists():
    sys.exit("the cause is there")
if mode == "taken" and not cause.exists():
    taken = socket.create_server(("", 80))

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if ready.is_set() else 503)
        self.end_headers()

    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 4096

while mode == "deaf" and not cause.exists():
    time.sleep(0.01)
threading.Thread(target=Server(("", 80), Answer).serve_forever).start()
time.sleep(0.5)
while not cause.exists():
    time.sleep(0.01)
ready.set()
pathlib.Path("/tmp/ready").touch()
for text in ("it is ready", " to accept", " clients\n"):
    print(text, end="", flush=True)
    time.sleep(0.02)
"""
READY = {
    "http": '{{ http = "/healthz", timeout = "{}" }}', "exec": '{{ exec = ["test", "-e", "/tmp/ready"], timeout = "{}" }}',
    "health": '{{ healthcheck = true, timeout = "{}" }}', "log": '{{ log = "ready to accept", timeout = "{}" }}'}
TCP = ("exits", "taken", "deaf")  # what a failing start does that is waited for by its port
PORTS = {name: port for port, name in enumerate([*READY, *TCP], 8001)}
PORT_OF_HELD = 8015
WAITED = {
    "http": "timed out after 3 s waiting for the container to answer GET /healthz with status 200 on port 80 (status 503)",
    "exec": "timed out after 3 s waiting for the container to run 'test -e /tmp/ready' successfully (exit status 1)",
    "health": "timed out after 3 s waiting for the container to run '/bin/sh -c test -e /tmp/ready || (echo not yet; exit 1)' "
              'successfully (exit status 1, "not yet")',
    "log": 'timed out after 3 s waiting for the container to write "ready to accept"',
    "deaf": "timed out after 3 s waiting for the container to listen on 172.17.0.",
    "exits": '; last output: "the cause is there"',
    "taken": "Address already in use"}

SITE = "[package]\nversion = '1'\n" + "".join(f"""
[container.{name}]
image   = "checked:1"
ports   = ["{port}:80"]
command = ["-c", '''{SERVER}''']
env     = {{ MODE = "{name}" }}
volumes = ["/srv/cause:/cause"]
tmpfs   = ["/tmp"]
ready   = {READY.get(name, '{{ tcp = true, timeout = "{}" }}').format("3s")}
""" for name, port in PORTS.items()) + f"""
[container.naps]
image       = "servers:1"
ports       = ["8011:80"]
idle        = "1s"
idle_action = "pause"

[container.db]
image   = "checked:1"
ports   = ["8012:80"]
command = ["-c", '''{SERVER}''']
env     = {{ MODE = "exits" }}
volumes = ["/srv/cause:/cause"]
ready   = {{ http = "/", timeout = "60s" }}
idle    = "1s"

[container.held]
image   = "checked:1"
ports   = ["{PORT_OF_HELD}:80"]
command = ["-c", '''{SERVER}''']
env     = {{ MODE = "held" }}
volumes = ["/srv/cause:/cause"]
ready   = {{ http = "/", timeout = "60s" }}

[container.web]
image    = "servers:1"
ports    = ["8013:80"]
requires = ["db"]

[container.lone]
image    = "servers:1"
ports    = ["8014:80"]
requires = ["naps"]
idle     = "1s"
"""


@pytest.fixture(scope="module")
def site(host: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    packages = built(tmp_path_factory.mktemp("wake"), SITE)
    host.sh("mkdir /srv/cause; docker create --name base servers:1; docker commit --change 'HEALTHCHECK --interval=1h CMD "
            "test -e /tmp/ready || (echo not yet; exit 1)' base checked:1; docker rm base")
    host.apt_install(*(path for key, path in packages.items() if key.startswith("deb/")))
    yield host
    host.run("apt-get", "purge", "-y", *(f"ondemand-{key.partition('/')[2]}" for key in packages if key.startswith("deb/")))
    assert host.sh("docker ps -aq; systemctl list-units --all --no-legend 'ondemand*'; ls /run | grep ondemand || :") == ""


@pytest.fixture
def cause_gone(site: Machine) -> None:
    site.sh("touch /srv/cause/gone")


@pytest.fixture
def cause_there(site: Machine) -> None:
    site.sh("rm -f /srv/cause/gone")


def asleep(machine: Machine, *names: str) -> None:
    machine.run("systemctl", "stop", *(f"ondemand-{name}-container.service" for name in names))


def status(machine: Machine, name: str) -> str:
    return str(machine.inspect(f"ondemand-{name}")["State"]["Status"])


def until(machine: Machine, name: str, wanted: str) -> None:
    machine.sh(f"until [ $(docker inspect -f '{{{{.State.Status}}}}' ondemand-{name}) = {wanted} ]; do sleep 0.05; done",
               timeout=60)


def started(machine: Machine, name: str) -> float:
    """Return when a container was started, in seconds."""
    return datetime.fromisoformat(machine.inspect(f"ondemand-{name}")["State"]["StartedAt"][:26] + "+00:00").timestamp()


def get(machine: Machine, port: int) -> str:
    return machine.get(f"http://127.0.0.1:{port}/")


@pytest.mark.usefixtures("cause_gone")
@pytest.mark.parametrize("kind", READY)
def test_clients_are_led_to_the_container_when_it_is_ready_and_not_before(site: Machine, kind: str) -> None:
    asleep(site, kind)
    assert site.clients(50, ("127.0.0.1", PORTS[kind])) == ["HTTP/1.0 200 OK"] * 50
    asleep(site, kind)


@pytest.mark.usefixtures("cause_there")
@pytest.mark.parametrize("name", PORTS)
def test_a_failing_start_turns_500_clients_away_tells_why_and_heals_by_itself(site: Machine, name: str) -> None:
    outcomes = site.clients(500, ("127.0.0.1", PORTS[name]), limit=30)
    assert set(outcomes) <= {"", "ConnectionResetError"}, "neither an answer nor a client that waits in vain"
    assert site.sh(f"systemctl is-active ondemand-{name}.socket") == "active\n"
    assert WAITED[name] in site.journal(f"ondemand-{name}-container")
    site.sh("touch /srv/cause/gone")
    site.until_answered(f"http://127.0.0.1:{PORTS[name]}/")
    asleep(site, name)


@pytest.mark.usefixtures("cause_gone")
def test_an_engine_that_is_down_turns_500_clients_away_and_the_service_heals_by_itself(site: Machine) -> None:
    site.sh("systemctl mask --runtime docker.service docker.socket; systemctl stop docker.socket docker.service")
    outcomes = site.clients(500, ("127.0.0.1", PORTS["http"]), limit=30)
    site.sh("systemctl unmask --runtime docker.service docker.socket; systemctl start docker.socket")
    assert set(outcomes) <= {"", "ConnectionResetError"}
    assert "no Docker engine answers on /run/docker.sock" in site.journal("ondemand-http-container")
    site.until_answered(f"http://127.0.0.1:{PORTS['http']}/")
    asleep(site, "http")


@pytest.mark.usefixtures("cause_there")
@pytest.mark.parametrize("how", ["systemctl restart docker.service", "systemctl restart docker.service docker.socket",
                                 "systemctl kill --signal=KILL docker.service"], ids=["restart", "both", "kill"])
def test_500_clients_of_a_start_are_held_while_the_engine_restarts(site: Machine, how: str) -> None:
    asleep(site, "held")
    site.sh("systemctl reset-failed docker.service docker.socket")
    with ThreadPoolExecutor(1) as pool:
        outcomes = pool.submit(site.clients, 500, ("127.0.0.1", PORT_OF_HELD), limit=90)
        site.sh("until systemctl status ondemand-held.service >/dev/null && docker exec ondemand-held true; do sleep 0.1; done")
        first = started(site, "held")
        site.sh(how)
        site.sh("touch /srv/cause/gone; until docker version >/dev/null 2>&1; do sleep 0.1; done")
        assert outcomes.result() == ["HTTP/1.0 200 OK"] * 500
    assert started(site, "held") > first
    assert "the engine went away while the container was starting" in site.journal("ondemand-held-container")
    asleep(site, "held")


# Paused


def test_an_idle_container_is_paused_and_every_client_of_its_wake_is_answered(site: Machine) -> None:
    for _ in range(3):
        assert get(site, 8011) == "200"
        until(site, "naps", "paused")
        begin = started(site, "naps")
        assert site.clients(200, ("127.0.0.1", 8011)) == ["HTTP/1.0 200 OK"] * 200
        assert started(site, "naps") == begin, "the same life"
    assert site.sh("systemctl list-units --failed --no-legend 'ondemand-naps*'") == ""


def test_the_output_of_a_container_that_was_paused_goes_on_in_the_journal(site: Machine) -> None:
    assert get(site, 8011) == "200"
    before = site.journal("ondemand-naps-container").count("request")
    for _ in range(3):
        until(site, "naps", "paused")
        assert get(site, 8011) == "200"
    until(site, "naps", "paused")
    assert site.journal("ondemand-naps-container").count("request") == before + 3


def test_a_connection_that_is_silent_is_closed_by_the_pause(site: Machine) -> None:
    silent = site.start("nc", "-d", "127.0.0.1", "8011")
    until(site, "naps", "running")
    silent.wait(timeout=30)
    until(site, "naps", "paused")


@pytest.mark.parametrize("command", ["systemctl stop ondemand-naps-container", "systemctl stop ondemand-naps"])
def test_a_paused_container_is_stopped_by_its_services_and_wakes_again(site: Machine, command: str) -> None:
    assert get(site, 8011) == "200"
    until(site, "naps", "paused")
    site.sh(command)
    until(site, "naps", "exited")
    assert site.sh("systemctl list-units --failed --no-legend 'ondemand-naps*'") == ""
    assert get(site, 8011) == "200"


@pytest.mark.usefixtures("cause_there")
def test_who_connects_just_when_a_container_was_stopped_while_it_started_is_answered(site: Machine) -> None:
    asleep(site, "deaf")
    held = site.start("curl", "-s", "http://127.0.0.1:8007/")
    until(site, "deaf", "running")
    said = site.sh("systemctl stop ondemand-deaf-container; touch /srv/cause/gone; "
                   "curl -sS -o /dev/null -w '%{http_code}' http://127.0.0.1:8007/")
    assert said in ("200", "503"), "it is there; it says no for half a second"
    assert held.wait(timeout=30) == 0, "it waited in the kernel when somebody stopped what it waited for"
    assert "failed" not in site.sh("systemctl list-units --all --no-legend 'ondemand-deaf*'")


def test_who_connects_just_when_a_paused_container_was_stopped_is_answered(site: Machine) -> None:
    assert get(site, 8011) == "200"
    until(site, "naps", "paused")
    said = site.sh("systemctl stop ondemand-naps-container; curl -sS -o /dev/null -w '%{http_code}' http://127.0.0.1:8011/")
    assert said == "200"


@pytest.mark.parametrize("command", ["docker unpause", "docker kill", "docker stop", "docker rm --force"])
def test_a_paused_container_that_somebody_else_lays_hands_on_wakes_again(site: Machine, command: str) -> None:
    assert get(site, 8011) == "200"
    until(site, "naps", "paused")
    site.sh(f"{command} ondemand-naps")
    site.until_answered("http://127.0.0.1:8011/")


@pytest.mark.parametrize("unit", ["ondemand-naps", "ondemand-naps-container"])
def test_a_helper_that_is_killed_while_the_container_is_paused_is_no_end(site: Machine, unit: str) -> None:
    assert get(site, 8011) == "200"
    until(site, "naps", "paused")
    site.sh(f"kill -9 $(systemctl show -P MainPID {unit})")
    site.until_answered("http://127.0.0.1:8011/")


def test_an_edited_environment_takes_effect_at_the_next_wake_and_its_clients_are_held(site: Machine) -> None:
    assert get(site, 8011) == "200"
    until(site, "naps", "paused")
    site.write("/etc/ondemand/naps.env", "WHO=the administrator\n")
    assert site.clients(50, ("127.0.0.1", 8011)) == ["HTTP/1.0 200 OK"] * 50
    assert "the administrator" in site.run("curl", "-sS", "http://127.0.0.1:8011/").stdout


# Company


@pytest.mark.usefixtures("cause_gone")
def test_a_required_container_is_ready_before_the_one_that_requires_it_starts(site: Machine) -> None:
    asleep(site, "web", "db")
    assert get(site, 8013) == "200"
    assert started(site, "web") - started(site, "db") > 0.5, "it says no for so long"
    site.run("sleep", "4")  # that nothing happens in four times the idle time can only be waited for
    assert status(site, "db") == "running", "it sleeps not while it is required"
    asleep(site, "web")
    until(site, "db", "exited")


@pytest.mark.usefixtures("cause_there")
def test_where_a_required_container_cant_be_had_500_clients_are_turned_away_until_it_can(site: Machine) -> None:
    asleep(site, "web", "db")
    outcomes = site.clients(500, ("127.0.0.1", 8013), limit=30)
    assert set(outcomes) <= {"", "ConnectionResetError"}
    assert ("ondemand-web: the required container 'db' could not be started; see 'journalctl -u ondemand-db-container'"
            in site.journal("ondemand-web-container"))
    site.sh("touch /srv/cause/gone")
    site.until_answered("http://127.0.0.1:8013/")


def test_a_required_container_that_sleeps_paused_is_unpaused(site: Machine) -> None:
    asleep(site, "lone")
    assert get(site, 8011) == "200"
    until(site, "naps", "paused")
    assert get(site, 8014) == "200" and status(site, "naps") == "running"
    until(site, "lone", "exited")
    until(site, "naps", "paused")


def test_a_circle_over_packages_built_apart_is_told_at_install_and_at_the_wake(site: Machine, tmp_path: Path) -> None:
    packages = []
    for name, other, port in (("egg", "hen", 8025), ("hen", "egg", 8026)):
        (tmp_path / name).mkdir()
        packages.append(built(tmp_path / name, f'[container.{name}]\nimage = "servers:1"\nversion = "1"\n'
                                               f'ports = ["{port}:80"]\nrequires = ["{other}"]\n')[f"deb/{name}"])
    try:
        said = site.apt_install(*packages)
        assert "dependency cycle (hen -> egg -> hen): none of these containers can start; " in said
        assert site.clients(20, ("127.0.0.1", 8025), limit=30) in ([""] * 20, ["ConnectionResetError"] * 20)
        assert "dependency cycle (egg -> hen -> egg): none" in site.journal("ondemand-egg-container")
    finally:
        site.run("apt-get", "purge", "-y", "ondemand-egg", "ondemand-hen")
    assert site.sh("systemctl list-units --all --no-legend ondemand-egg* ondemand-hen*") == "", "they failed, and are forgotten"


def test_containers_that_outlive_their_engine_go_on_serving_and_sleep_and_wake_under_the_next_one(site: Machine) -> None:
    restart = "systemctl reset-failed docker.service docker.socket; systemctl restart docker"  # however often it was
    site.write("/etc/docker/daemon.json", '{"live-restore": true}')
    site.sh(restart)
    try:
        asleep(site, "lone", "naps")
        assert get(site, 8014) == get(site, 8011) == "200"
        begun = {name: started(site, name) for name in ("lone", "naps")}
        with site.steady_clients(8014) as answers:
            site.sh(restart)
        assert set(answers) == {"HTTP/1.0 200 OK"}
        assert {name: started(site, name) for name in begun} == begun
        until(site, "lone", "exited")
        until(site, "naps", "paused")
        site.sh(restart)
        assert get(site, 8011) == "200" and started(site, "naps") == begun["naps"]
        assert get(site, 8014) == "200"
    finally:
        asleep(site, "lone", "naps")
        site.run("rm", "/etc/docker/daemon.json")
        site.sh(restart)


def test_a_container_killed_for_want_of_memory_while_it_starts_is_told_so_and_starts_once_it_has_enough(tmp_path: Path) -> None:
    need(*TOOLS, root=True)
    if not has_memory_controller():
        # The kernel's matter, which the project can't install: unlike what need() tells, no failure in CI.
        pytest.skip("no control groups of version 1 with the memory controller are mounted")
    text = """[container.hungry]
image = "servers:1"
version = "{}"
ports = ["8017:80"]
memory = "{}M"
command = ["-c", "bytearray(48 << 20); import runpy; runpy.run_path('/servers/show.py')"]
"""
    with fresh("bookworm", limits=True) as machine:
        machine.apt_install(built(tmp_path, text.format(1, 24))["deb/hungry"])
        assert set(machine.clients(500, ("127.0.0.1", 8017), limit=30)) <= {"", "ConnectionResetError"}
        machine.sh("until systemctl is-failed --quiet ondemand-hungry-container; do sleep 0.05; done", timeout=60)
        assert ("ondemand-hungry: the container ran out of memory and was killed; raise 'memory'"
                ) in machine.journal("ondemand-hungry-container")
        assert machine.inspect("ondemand-hungry")["State"]["OOMKilled"]
        machine.apt_install(built(tmp_path, text.format(2, 96))["deb/hungry"])
        machine.until_answered("http://127.0.0.1:8017/")


def test_after_a_reboot_a_container_that_slept_paused_sleeps_again_and_wakes_again(site: Machine) -> None:
    assert get(site, 8011) == "200"
    until(site, "naps", "paused")
    site.reboot()
    assert site.sh("docker ps -q") == ""
    assert get(site, 8011) == "200"
