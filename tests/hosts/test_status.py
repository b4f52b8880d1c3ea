"""What administrators may rely on of what is shown of wakes and services, on Debian 11 and 13."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import ondemand_host
from ondemand_host.systemd import ASLEEP, FAILED, WOKEN

from .conftest import built
from .machine import Machine

SITE = """
[package]
version = "1"

[container.web]
image = "nginx:1.27"
ports = ["80:80", "/run/web.sock:80"]
idle  = "1s"

[container.proxied]
image = "nginx:1.27"
ports = ["8081:80"]
proxy = "systemd-socket-proxyd"

[container.later]
image = "localhost:1/later:1"
ports = ["8082:80"]

[container.long]
image = "servers:1"
ports = ["8083:80"]
idle  = "10min"

[container.counted]
image   = "servers:1"
ports   = ["8084:80"]
metrics = true

[container.naps]
image       = "servers:1"
ports       = ["8085:80", "/run/naps.sock:80"]
idle        = "1s"
idle_action = "pause"

[container.chatty]
image     = "servers:1"
ports     = ["8086:80"]
entrypoint = ["sh", "-c"]
command   = ["yes line | head -n 60000; exec python3 -m http.server 80"]
log_limit = "100k"
"""
METRICS = "/var/lib/prometheus/node-exporter"
TOOL = "/opt/tool"
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def install_tool(machine: Machine) -> None:
    """Lay the tool, which needs nothing else, where the host's Python finds it."""
    directory = Path(str(ondemand_host.__file__)).parent
    shutil.copytree(directory, machine.path(f"{TOOL}/{directory.name}"), ignore=shutil.ignore_patterns("__pycache__"))


@pytest.fixture(scope="module")
def site(host: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    install_tool(host)
    packages = built(tmp_path_factory.mktemp("status"), SITE)
    host.apt_install(*(path for key, path in packages.items() if key.startswith("deb/")))
    yield host


def status(machine: Machine, *argv: str, user: tuple[str, ...] = (), check: bool = True) -> Any:
    return machine.run(*user, "env", f"PYTHONPATH={TOOL}", "python3", "-m", "ondemand_host", "status", *argv, check=check)


def service(machine: Machine, name: str) -> dict[str, Any]:
    (found,) = json.loads(status(machine, "--json", name).stdout)["services"]
    return dict(found)


def records(machine: Machine, name: str, message_id: str) -> list[dict[str, str]]:
    """Return the records of a service, oldest first, by their fields without the prefix."""
    machine.run("journalctl", "--sync")
    lines = machine.run("journalctl", "--output=json", f"MESSAGE_ID={message_id}", f"ONDEMAND_NAME={name}").stdout
    return [{key.removeprefix("ONDEMAND_"): value for key, value in json.loads(line).items()} for line in lines.splitlines()]


def until_down(machine: Machine, name: str) -> None:
    machine.sh(f"until systemctl is-active ondemand-{name}-container | grep -q 'inactive\\|failed'; do sleep 0.05; done",
               timeout=60)


def until_paused(machine: Machine, name: str) -> None:
    machine.sh(f"until systemctl show --property=StatusText ondemand-{name}-container | grep -q paused; do sleep 0.05; done",
               timeout=60)


def until_recorded(machine: Machine, name: str, count: int) -> None:
    machine.sh(f"until [ $(journalctl --output=cat MESSAGE_ID={WOKEN} ONDEMAND_NAME={name} | wc -l) = {count} ]; "
               "do sleep 0.05; done", timeout=60)


def test_a_container_that_writes_much_costs_the_journal_no_record_and_no_line_and_the_engine_no_more_than_its_limit(
    site: Machine,
) -> None:
    assert site.get("http://127.0.0.1:8086/") == "200"
    until_recorded(site, "chatty", 1)
    site.sh("until [ $(journalctl --output=cat --unit=ondemand-chatty-container | grep -cx line) = 60000 ]; do sleep 0.2; done",
            timeout=60)
    site.run("systemctl", "stop", "ondemand-chatty-container")
    container = site.inspect("ondemand-chatty")
    assert container["HostConfig"]["LogConfig"]["Config"] == {"max-size": "51200", "max-file": "2"}
    directory = container["LogPath"].rpartition("/")[0]
    assert int(site.sh(f"cat {directory}/*-json.log* | wc -c")) <= 102400 + 4096  # a file ends with the line that is too much


def test_what_was_never_woken_is_asleep(site: Machine) -> None:
    assert service(site, "web") == {
        "name": "web", "state": "asleep", "ports": ["[::]:80", "/run/web.sock"], "connections": 0, "idle_left_s": None,
        "last_wake": None, "wake_time": None, "failures": 0, "failures_in_a_row": 0, "last_failure": None, "next_attempt": None,
        "version": "1-1", "built_by": ondemand_host.__version__, "enabled": True, "without_proxy": False, "waits_for": None,
        "next_by_clock": None,
        "companion_of": [], "task_before": [], "schedule": [], "dropped_datagrams": None, "closed_without_data": None,
        "probes_answered": None, "refused": None, "too_few_datagrams": None,
        "last_sleep": None,
        "given_back_bytes": None}


def test_a_wake_is_one_record_with_who_woke_and_how_long_each_phase_took(site: Machine) -> None:
    assert site.get("http://127.0.0.1/") == "200"
    until_recorded(site, "web", 1)
    (record,) = records(site, "web", WOKEN)
    phases = [int(record[f"{phase}_MS"]) for phase in ("QUEUED", "ENGINE_START", "READY", "FIRST_BYTE")]
    assert min(phases) >= 0 and int(record["TOTAL_MS"]) == sum(phases) > 0
    assert (record["CLIENT"], record["UNIT"], record["PRIORITY"]) == ("127.0.0.1", "ondemand-web.service", "6")
    assert record["MESSAGE"] == "woken by 127.0.0.1 in {} ms (queued {}, engine {}, ready {}, first byte {})".format(
        sum(phases), *phases)
    assert record["MESSAGE"] in site.journal("ondemand-web-container"), "it stands among the unit's own messages"
    until_down(site, "web")
    wake = service(site, "web")["last_wake"]
    assert [wake["client"], *(wake[f"{phase}_ms"] for phase in ("queued", "engine_start", "ready", "first_byte", "total"))] == [
        "127.0.0.1", *phases, sum(phases)]


def test_falling_asleep_is_one_record_with_what_it_gives_back_and_a_report_shows_it(site: Machine) -> None:
    (record,) = records(site, "web", ASLEEP)
    given_back = int(record["GIVEN_BACK_BYTES"])
    assert 2**20 < given_back < 2**30, "nginx and its workers"
    assert record["HOW"] == "idle" and int(record["AWAKE_MS"]) >= 1000 and record["UNIT"] == "ondemand-web.service"
    assert record["MESSAGE"].startswith("asleep after ") and record["MESSAGE"] in site.journal("ondemand-web-container")
    found = service(site, "web")
    assert found["given_back_bytes"] == found["last_sleep"]["given_back_bytes"] == given_back
    said = site.run("env", f"PYTHONPATH={TOOL}", "python3", "-m", "ondemand_host", "report", "--since=-1d").stdout
    (line,) = [line for line in said.splitlines() if line.startswith("web ")]
    assert line.split()[1:3] == ["1", "0"] and "127.0.0.1 (1)" in line and line.endswith("MiB")
    site.run("env", f"PYTHONPATH={TOOL}", "python3", "-m", "ondemand_host", "report", "-o", "/root/report.html")
    assert "<rect" in site.path("/root/report.html").read_text()


def test_a_client_of_a_unix_socket_is_recorded_by_its_user(site: Machine) -> None:
    site.run("curl", "--silent", "--fail", "--unix-socket", "/run/web.sock", "--output", "/dev/null", "http://web/")
    until_recorded(site, "web", 2)
    assert records(site, "web", WOKEN)[-1]["CLIENT"] == "uid:0"
    until_down(site, "web")


def test_a_wake_without_a_client_is_recorded_too(site: Machine) -> None:
    site.run("systemctl", "start", "ondemand-web-container")
    until_recorded(site, "web", 3)
    record = records(site, "web", WOKEN)[-1]
    assert record["MESSAGE"].startswith("woken without a client in ") and "CLIENT" not in record and "FIRST_BYTE_MS" not in record
    assert service(site, "web")["without_proxy"] and "nothing measures its traffic" in status(site).stdout
    site.run("systemctl", "stop", "ondemand-web-container")


def test_a_container_that_was_started_at_the_engine_is_shown_until_the_service_has_it(site: Machine) -> None:
    site.run("docker", "start", "ondemand-long")
    assert service(site, "long")["state"] == "unmanaged" and "'docker stop ondemand-long'" in status(site).stdout
    assert site.get("http://127.0.0.1:8083/") == "200"
    assert service(site, "long")["state"] == "awake"


def test_with_systemds_proxy_what_is_known_is_recorded(site: Machine) -> None:
    assert site.get("http://127.0.0.1:8081/") == "200"
    until_recorded(site, "proxied", 1)
    (record,) = records(site, "proxied", WOKEN)
    assert int(record["TOTAL_MS"]) == sum(int(record[f"{phase}_MS"]) for phase in ("QUEUED", "ENGINE_START", "READY"))
    assert "CLIENT" not in record


@contextlib.contextmanager
def open_clients(machine: Machine, port: int, count: int) -> Iterator[None]:
    """Hold some connections open that never say anything."""
    hold = "import socket, sys; s = [socket.create_connection(('127.0.0.1', %d)) for _ in range(%d)]; print(flush=True); input()"
    process = machine.start("python3", "-c", hold % (port, count))
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield
    finally:
        process.communicate("\n")


def test_what_is_awake_is_told_with_its_connections_and_the_time_that_is_left(site: Machine) -> None:
    with open_clients(site, 8083, 3):
        assert site.get("http://127.0.0.1:8083/") == "200"
        found = service(site, "long")
        assert (found["state"], found["connections"]) == ("awake", 3) and 500 < found["idle_left_s"] <= 600


def test_a_failing_service_is_told_with_its_reason_until_it_heals(site: Machine) -> None:
    site.clients(1, ("127.0.0.1", 8082))
    until_down(site, "later")
    site.run("journalctl", "--sync")
    found = service(site, "later")
    assert found["state"] == "failing"
    assert found["failures_in_a_row"] >= 1 and found["next_attempt"] and found["last_wake"] is None
    assert "'docker create' failed for the image localhost:1/later:1" in found["last_failure"]["reason"]
    record = records(site, "later", FAILED)[0]
    client = record.get("CLIENT")  # not known where the start fails before the relay is there
    assert client in ("127.0.0.1", None) and found["last_failure"]["client"] == client
    assert record["MESSAGE"] == ("the wake by 127.0.0.1 failed" if client else "the wake failed")
    assert record["FAILURES"] == "1" and record["PRIORITY"] == "4"
    assert "'docker create' failed" in status(site, "later").stdout
    site.run("docker", "tag", "servers:1", "localhost:1/later:1")
    site.until_answered("http://127.0.0.1:8082/")
    until_recorded(site, "later", 1)
    found = service(site, "later")
    assert (found["state"], found["last_wake"]["client"]) == ("awake", "127.0.0.1") and found["failures"] >= 1
    assert found["failures_in_a_row"] == 0
    site.run("systemctl", "stop", "ondemand-later-container")
    assert service(site, "later")["state"] == "asleep"


def test_what_is_paused_is_told_and_its_wakes_are_records_too(site: Machine) -> None:
    for wakes in (1, 2):
        assert site.get("http://127.0.0.1:8085/") == "200"
        until_recorded(site, "naps", wakes)
        until_paused(site, "naps")
        found = service(site, "naps")
        assert (found["state"], found["wake_time"]["count"], found["last_wake"]["client"]) == ("paused", wakes, "127.0.0.1")
    site.run("curl", "--silent", "--fail", "--unix-socket", "/run/naps.sock", "--output", "/dev/null", "http://naps/")
    until_recorded(site, "naps", 3)
    wake = service(site, "naps")["last_wake"]
    before, last = (int(record["__REALTIME_TIMESTAMP"]) / 1000 for record in records(site, "naps", WOKEN)[1:])
    assert wake["client"] == "uid:0" and wake["queued_ms"] < last - before, "counted from the client, not from the relay"
    assert wake["total_ms"] == sum(wake[f"{phase}_ms"] for phase in ("queued", "engine_start", "ready", "first_byte"))


def test_what_an_administrator_closed_is_disabled(site: Machine) -> None:
    site.run("systemctl", "disable", "--now", "ondemand-proxied.socket")
    site.run("systemctl", "stop", "ondemand-proxied-container")
    assert service(site, "proxied")["state"] == "disabled"
    site.run("systemctl", "start", "ondemand-proxied.socket")
    assert (service(site, "proxied")["state"], service(site, "proxied")["enabled"]) == ("asleep", False)
    assert "'systemctl enable ondemand-proxied.socket'" in status(site).stdout
    site.run("systemctl", "enable", "--now", "ondemand-proxied.socket")


def test_the_table_has_a_line_for_each_service_and_no_colour_in_a_file(site: Machine) -> None:
    done = status(site)
    head, *rows = done.stdout.splitlines()
    assert [row.split()[0] for row in rows] == ["chatty", "counted", "later", "long", "naps", "proxied", "web"]
    assert head.split()[:3] == ["NAME", "STATE", "CONN"] and "\x1b" not in done.stdout and not done.stderr
    assert max(map(len, rows)) <= 80


def test_other_users_learn_what_they_may_and_are_told_what_is_missing(site: Machine) -> None:
    for port in (8083, 8085):
        assert site.get(f"http://127.0.0.1:{port}/") == "200"
    until_paused(site, "naps")
    done = status(site, user=AS_NOBODY)
    assert [row.split()[:3] for row in done.stdout.splitlines()[1:]] == [
        ["chatty", "asleep", "0"], ["counted", "asleep", "0"], ["later", "asleep", "0"], ["long", "awake", "0"],
        ["naps", "paused", "0"], ["proxied", "asleep", "0"], ["web", "asleep", "0"]]
    assert "systemd-journal" in done.stderr and "only root" in done.stderr
    found = json.loads(status(site, "--json", user=AS_NOBODY).stdout)
    assert found["not_readable"] == ["journal", "idle_left", "containers"] and found["services"][0]["failures"] is None


def test_records_that_another_user_wrote_are_not_believed(site: Machine) -> None:
    assert site.get("http://127.0.0.1:8083/") == "200"
    until_recorded(site, "long", 1)
    before, count = service(site, "long"), len(records(site, "long", WOKEN))
    site.run(*AS_NOBODY, "logger", "--journald", input=f"MESSAGE_ID={WOKEN}\nMESSAGE=woken\nONDEMAND_NAME=long\n"
             "ONDEMAND_TOTAL_MS=1\nONDEMAND_CLIENT=nobody\n")
    assert len(records(site, "long", WOKEN)) == count + 1 and service(site, "long")["last_wake"] == before["last_wake"]


def test_a_name_that_is_not_there_is_told_with_those_that_are(site: Machine) -> None:
    done = status(site, "wbe", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: there is no on-demand service 'wbe' on this host; did you mean 'web'?; "
        "installed: chatty, counted, later, long, naps, proxied, web\n")


def metrics(machine: Machine) -> dict[str, float]:
    """Return the samples of the file that the exporter reads, by their names and bounds."""
    text = machine.run("cat", f"{METRICS}/ondemand-counted.prom").stdout
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert {sample.labels["name"] for sample in samples} == {"counted"}
    return {sample.name.removeprefix("ondemand_") + sample.labels.get("le", ""): sample.value for sample in samples}


def wake_counted(machine: Machine) -> None:
    wakes = len(records(machine, "counted", WOKEN))
    machine.until_answered("http://127.0.0.1:8084/")
    until_recorded(machine, "counted", wakes + 1)


def sleep_counted(machine: Machine) -> None:
    machine.run("systemctl", "stop", "ondemand-counted-container")


def test_where_there_is_no_directory_for_metrics_clients_are_answered_and_it_is_said_once(site: Machine) -> None:
    for _ in range(2):
        wake_counted(site)
        sleep_counted(site)
    assert site.journal("ondemand-counted-container").count("can't write the metrics") == 1


def test_the_metrics_follow_the_service_and_go_with_its_package(site: Machine) -> None:
    site.run("mkdir", "-p", METRICS)
    with open_clients(site, 8084, 3):
        wake_counted(site)
        site.sh(f"until grep -q '^ondemand_connections' {METRICS}/*.prom; do sleep 0.05; done", timeout=60)
        found = metrics(site)
        assert (found["awake"], found["wakes_total"], found["wake_failures_total"]) == (1, 1, 0)
        assert found["connections"] in (3, 4), "those that are held open, and perhaps the one that asked"
        record = records(site, "counted", WOKEN)[-1]
        assert found["last_wake_duration_seconds"] == int(record["TOTAL_MS"]) / 1000
        site.run("docker", "kill", "ondemand-counted")
    until_down(site, "counted")
    found = metrics(site)
    assert (found["awake"], found["connections"]) == (0, 0)
    assert (found["wake_failures_total"], found["consecutive_wake_failures"]) == (0, 0), "who ends it by hand makes no failure"
    wake_counted(site)
    sleep_counted(site)
    found = metrics(site)
    assert (found["awake"], found["wakes_total"], found["wake_duration_seconds_count"], found["consecutive_wake_failures"]) == (
        0, 2, 2, 0)
    site.run("apt-get", "remove", "-y", "ondemand-counted")
    assert site.run("ls", METRICS).stdout == ""


def test_a_survey_tells_containers_that_are_used_from_those_that_are_not(site: Machine) -> None:
    strangers = {"quiet": ["--publish=9001:80", "nginx:1.27"], "busy": ["--publish=9002:80", "nginx:1.27"],
                 "works": ["--entrypoint=sleep", "nginx:1.27", "1000"],
                 "shares": ["--network=host", "--entrypoint=sleep", "nginx:1.27", "1000"]}
    for name, options in strangers.items():
        site.run("docker", "run", "--detach", f"--name={name}", *options)
    try:
        site.sh("until curl -sf 127.0.0.1:9002 && curl -sf 127.0.0.1:9001; do sleep 0.05; done >/dev/null", timeout=60)
        shown = site.sh(f"""
            PYTHONPATH={TOOL} python3 -m ondemand_host survey --for=5s 2>/root/said & survey=$!
            while kill -0 $survey 2>/dev/null; do curl --silent --output /dev/null 127.0.0.1:9002; sleep 0.2; done
            wait $survey
        """)
    finally:
        site.run("docker", "rm", "--force", *strangers)
    part: dict[str, list[str]] = {}
    for line in shown.splitlines():
        if line.startswith(" "):
            part[list(part)[-1]].append(line)
        else:
            part[line.rstrip(":")] = []
    assert [row.split()[0] for row in part["Nobody came to"]] == ["quiet"], shown
    assert part["Nobody came to"][0].endswith("MiB  ports 9001->80/tcp")
    assert [row.split()[0] for row in part["In use"]] == ["busy"] and "new connections" in part["In use"][0]
    assert [row.split()[0] for row in part["No connection can wake, as they listen nowhere"]] == ["works"]
    assert part["Not seen"] == ["  shares: it shares the network of this host, where its clients can't be told apart"]
    assert "'ondemand-pkg import --container quiet'" in site.run("cat", "/root/said").stdout
