"""What users may rely on where a host has Podman and no Docker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from requirements import need

from ondemand_pkg.cli.main import cli

from .conftest import TOOLS, built
from .machine import Machine, fresh
from .roots import WITH_PODMAN
from .test_datagrams import ECHO, ask

WRITER = r"""
import http.server, pathlib, signal, sys, os
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
path = pathlib.Path("/data/lives")
path.write_text(path.read_text() + "x" if path.exists() else "x")
print("it is ready to accept clients", flush=True)
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write((path.read_text() + " " + os.environ.get("WORD", "")).encode())
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("", 80), Answer).serve_forever()
"""
SITE = f"""
[package]
version = "1"
[container.nginx]
image = "nginx:1.27"
ports = ["80:80"]
idle  = "1s"
[container.naps]
image       = "nginx:1.27"
ports       = ["81:80"]
engine      = "podman"
idle        = "1s"
idle_action = "pause"
[container.writes]
image   = "servers:1"
ports   = ["82:80"]
command = ["-c", '''{WRITER}''']
volumes = ["lives:/data"]
ready   = {{ log = "ready to accept" }}
[container.fails]
image   = "servers:1"
ports   = ["83:80"]
command = ["-c", "print('no such table', flush=True); raise SystemExit(3)"]
[container.inside]
image   = "servers:1"
ports   = ["84:80"]
command = ["/servers/show.py"]
ready   = {{ exec = ["python3", "-c", "1"] }}
[container.speaks]
image   = "servers:1"
ports   = ["27015:53/udp", "86:80"]
command = ["-c", '''{ECHO}''']
ready   = {{ udp = {{ send = "3f", expect = "3f20" }} }}
idle    = "1s"
"""


@pytest.fixture(scope="module", params=WITH_PODMAN)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need(*TOOLS, root=True)
    with fresh(request.param) as machine:
        packages = built(tmp_path_factory.mktemp("site"), SITE)
        said = machine.apt_install(*(path for name, path in packages.items() if name.startswith("deb/")))
        assert "ondemand-nginx: " not in said, "nothing had to be told"
        yield machine


def unit(name: str) -> str:
    return f"ondemand-{name}-container.service"


def state(machine: Machine, name: str) -> str:
    return machine.sh(f"podman inspect --format '{{{{.State.Status}}}}' ondemand-{name}").strip()


def asleep(machine: Machine, name: str) -> None:
    machine.sh(f"until [ $(systemctl show -p ActiveState --value {unit(name)}) = inactive ]; do sleep 0.1; done", timeout=60)


def test_a_connection_wakes_the_container_and_idle_puts_it_to_sleep(host: Machine) -> None:
    for _ in range(3):
        assert host.get() == "200"
        asleep(host, "nginx")
        assert state(host, "nginx") == "exited"
    assert host.sh("cat /var/lib/ondemand/nginx.engine") == "podman\n"


def test_a_herd_is_answered(host: Machine) -> None:
    asleep(host, "nginx")
    assert set(host.clients(200, ("127.0.0.1", 80))) == {"HTTP/1.1 200 OK"}


def test_nothing_of_the_engine_stays_while_the_container_is_awake(host: Machine) -> None:
    assert host.get("http://127.0.0.1:82") == "200"
    host.sh("until ! pgrep -f '[p]odman.* system service'; do sleep 0.2; done", timeout=60)
    assert state(host, "writes") == "running"


def test_an_idle_container_is_paused_and_resumed_in_no_time(host: Machine) -> None:
    for _ in range(2):
        assert host.get("http://127.0.0.1:81") == "200"
        host.sh("until [ $(podman inspect --format '{{.State.Status}}' ondemand-naps) = paused ]; do sleep 0.1; done", timeout=30)
    host.sh(f"systemctl stop {unit('naps')}")
    assert state(host, "naps") == "exited"


def test_a_failing_container_is_told_with_its_last_words(host: Machine) -> None:
    assert host.clients(1, ("127.0.0.1", 83)) == ["ConnectionResetError"]
    host.sh("until journalctl -o cat --output-fields=ONDEMAND_REASON ONDEMAND_NAME=fails | "
            "grep --fixed-strings 'exited with status 3 before it was ready; last output: \"no such table\"'; do sleep 0.2; done",
            timeout=30)  # the engine's words come after the client's reset


def test_a_command_inside_tells_that_it_is_ready(host: Machine) -> None:
    assert host.clients(1, ("127.0.0.1", 84))[0]


def test_datagrams_wake_and_a_herd_of_them_is_answered(host: Machine) -> None:
    for _ in range(2):
        assert [[one[0] for one in answers] for answers in ask(host, 27015, count=200, each=2)] == [["0", "1"]] * 200
        asleep(host, "speaks")
    assert host.clients(1, ("127.0.0.1", 86), "") == ["hello\n"]


def test_the_administrators_values_take_effect_at_the_next_wake_and_the_previous_container_is_kept(host: Machine) -> None:
    host.sh(f"systemctl stop {unit('writes')}")
    lives = len(host.sh("cat /var/lib/ondemand/volumes/lives/lives"))
    host.write("/etc/ondemand/writes.env", "WORD=it's \"quoted\" # and long\n")
    assert host.sh("curl -s http://127.0.0.1:82") == "x" * (lives + 1) + " it's \"quoted\" # and long"
    assert state(host, "writes.previous") == "exited"
    host.sh(f"systemctl stop {unit('writes')}")
    host.write("/etc/ondemand/writes.env", "")
    assert host.sh("curl -s http://127.0.0.1:82") == "x" * (lives + 2) + " "


def test_a_prune_of_everything_loses_no_data(host: Machine) -> None:
    host.sh(f"systemctl stop {unit('writes')}")
    lives = len(host.sh("cat /var/lib/ondemand/volumes/lives/lives"))
    host.sh("podman system prune --force --volumes")
    assert host.run("podman", "container", "exists", "ondemand-writes", check=False).returncode == 1
    assert host.sh("curl -s http://127.0.0.1:82") == "x" * (lives + 1) + " "


@pytest.mark.parametrize("gone", ["podman.socket podman.service", "podman.service"])
def test_a_service_that_is_gone_is_no_reason_to_leave_the_container_running(host: Machine, gone: str) -> None:
    assert host.get("http://127.0.0.1:82") == "200"
    host.sh(f"systemctl stop {gone}")
    begin = time.monotonic()
    host.sh(f"systemctl stop {unit('writes')}")
    assert time.monotonic() - begin < 25 and state(host, "writes") == "exited"
    assert host.sh(f"systemctl show -p Result --value {unit('writes')}").strip() == "success"
    assert host.get("http://127.0.0.1:82") == "200"


def test_where_its_socket_is_masked_the_command_makes_and_starts_the_container_beside_the_service(host: Machine) -> None:
    assert host.get() == "200"
    asleep(host, "nginx")
    host.sh("podman rm ondemand-nginx && systemctl mask --now podman.socket podman.service")
    try:
        assert host.get() == "200"
        # The service's own sandbox lets nothing be mounted, and so no container be made.
        own = host.sh(f"cat /sys/fs/cgroup/system.slice/{unit('nginx')}/cgroup.procs", check=False).split()
        assert "podman" not in host.sh(f"cat {' '.join(f'/proc/{pid}/comm' for pid in own)} /dev/null", check=False).split()
        asleep(host, "nginx")
        assert state(host, "nginx") == "exited"
        host.sh("while systemctl list-units --all --plain --no-legend 'run-*.service' | grep .; do sleep 0.2; done", timeout=60)
    finally:
        host.sh("systemctl unmask podman.socket podman.service && systemctl start podman.socket")


def test_a_service_that_is_killed_while_it_stops_the_container_is_asked_again(host: Machine) -> None:
    asleep(host, "nginx")
    assert host.get() == "200"
    host.sh("for i in $(seq 40); do systemctl kill -s KILL podman.service 2>/dev/null; sleep 0.05; done")
    asleep(host, "nginx")
    assert state(host, "nginx") == "exited"


def test_a_container_that_was_removed_is_there_again_at_the_next_wake(host: Machine) -> None:
    asleep(host, "nginx")
    host.sh("podman rm --force ondemand-nginx")
    assert host.get() == "200"


def test_exported_manifests_are_run_by_podman_kube_play(host: Machine, tmp_path: Path) -> None:
    path = tmp_path / "exported.toml"
    path.write_text('[container.exported]\nimage = "nginx:1.27"\nversion = "1"\nports = ["80:80"]\n'
                    'volumes = ["pages:/srv/pages"]\nenv = { GREETING = "hello" }\n'
                    'cap_drop = ["NET_RAW"]\nready = { http = "/" }\n')
    manifests = CliRunner().invoke(cli, ["export", "--to", "kubernetes", str(path)])
    assert manifests.exit_code == 0, manifests.output
    host.write("/root/exported.yaml", manifests.stdout)
    host.sh("podman kube play --publish 127.0.0.1:8090:80 /root/exported.yaml")
    host.sh("until curl -sSf http://127.0.0.1:8090/ | grep -q 'Welcome to nginx'; do sleep 0.1; done", timeout=30)
    (name,) = host.sh("podman ps --format '{{.Names}}' --filter name=exported | grep -v infra").split()
    told = host.sh(f"podman exec {name} sh -c 'echo $GREETING; grep -c /srv/pages /proc/self/mounts'")
    assert told == "hello\n1\n"
    host.sh("podman kube down --force /root/exported.yaml")


def test_it_listens_and_wakes_after_a_reboot(host: Machine) -> None:
    host.reboot()
    assert host.get() == "200" and host.get("http://127.0.0.1:82") == "200"


def test_a_purge_leaves_the_volumes_and_nothing_else(host: Machine) -> None:
    names = " ".join(f"ondemand-{name}" for name in ("nginx", "naps", "writes", "fails", "inside", "speaks"))
    said = host.sh(f"apt-get purge -y {names} 2>&1")
    assert "ondemand-nginx: " not in said
    assert host.sh("podman ps --all --quiet") == "" and host.sh("podman volume ls --quiet") == "lives\n"
    assert host.sh("ls /var/lib/ondemand; ls -a /run/ondemand 2>/dev/null || :") == "volumes\n"
    assert host.sh("systemctl list-units --all --no-legend 'ondemand*'") == ""


def test_a_purge_deletes_the_volumes_where_that_is_declared(host: Machine, tmp_path: Path) -> None:
    packages = built(tmp_path, SITE.replace('["lives:/data"]', '["gone:/data"]\npurge_volumes = true'))
    host.apt_install(packages["deb/writes"])
    assert host.sh("curl -s http://127.0.0.1:82") == "x "
    host.sh("apt-get purge -y ondemand-writes")
    assert host.sh("podman volume ls --quiet") == "lives\n" and host.sh("ls /var/lib/ondemand/volumes") == "lives\n"


def test_declarations_and_bundles_are_made_by_podman_too(
    host: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`init` of an image, `import` of a container, and a package that carries its image to a host without a registry."""
    host.sh("systemctl start podman.socket; podman create --name shop --memory 64m -p 8080:80 -e GREETING=hello nginx:1.27")
    monkeypatch.setenv("DOCKER_HOST", f"unix:///proc/{host.leader}/root/run/podman/podman.sock")
    told = CliRunner().invoke(cli, ["init", "nginx:1.27"])
    assert told.exit_code == 0 and 'ports = ["80:80"]' in told.stdout
    told = CliRunner().invoke(cli, ["import", "--container", "shop"])
    assert told.exit_code == 0 and 'ports = ["8080:80"]' in told.stdout and "hello" in told.stdout, told.stderr
    carried = '[container.carried]\nimage = "nginx:1.27"\nversion = "1"\nports = ["85:80"]\nbundle = true\n'
    (tmp_path / "x.toml").write_text(carried)
    told = CliRunner().invoke(cli, ["build", str(tmp_path / "x.toml"), "-o", str(tmp_path / "dist"), "--format", "deb"])
    assert told.exit_code == 0, told.stderr
    host.sh("podman rm --force shop")
    host.apt_install(*(tmp_path / "dist").glob("*.deb"))
    assert "localhost/ondemand/nginx:" in host.sh("podman inspect --format '{{.ImageName}}' ondemand-carried")
    assert host.get("http://127.0.0.1:85") == "200"
    host.sh("apt-get purge -y ondemand-carried")
