"""How long the first request to a sleeping application takes, beside starting all of its containers by docker-compose or by hand.

Knows that all ways lead to the same servers, with data of their own; hides how the containers of the Compose project are made: in
a network of the engine's, in the order of their needs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from hosts.machine import Machine, unbooted

from .measure import Alternative, Sample, Table, comparison, in_turns, ratio, verdict

SUITE = "trixie"
TOOLS = ("mmdebstrap", "systemd-nspawn", "nsenter")
DIRECTORY = Path(__file__).parents[1] / "tests/hosts/applications"
HERE = "here, asleep"
COMPOSE = "docker-compose start, request"
BY_HAND = "by hand: docker start in three steps, request"
LIMIT = 1.2
# What each of them is called by the others, and after which others it is started: nginx ends where it does not find the
# application's name.
SERVICES = {"db": (), "cache": (), "app": ("db", "cache"), "worker": ("app",), "web": ("app",)}
STEPS = (("db", "cache"), ("app",), ("worker", "web"))
PROJECT, PORT = "/srv/hand", 8090  # that it publishes: the containers' own addresses change from start to start
# Runs on the host: runs the commands of each step at once, asks an address every 5 ms until it answers with a page; prints the
# seconds.
ASK = """
import json, subprocess, sys, time, urllib.request
begin = time.monotonic()
for step in json.loads(sys.argv[2]):
    for one in [subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for argv in step]:
        assert one.wait() == 0
while True:
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=60) as answer:
            assert answer.status == 200
            break
    except OSError:
        if time.monotonic() > begin + 60:
            raise
        time.sleep(0.005)
print(time.monotonic() - begin)
"""


def missing() -> str:
    """Return why this part can't run, or nothing."""
    if os.getuid() != 0:
        return "boots a host, which only root may; run it as root"
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"{', '.join(lacking)} not installed; tools/bench installs what the benchmark needs" if lacking else ""


def facts() -> list[tuple[str, str]]:
    """Return what is compared in one line each."""
    return [(HERE, "a request through nginx to an application that asks its database; its worker and its queue wake, too"),
            (COMPOSE, "the same five containers as a Compose project with depends_on, without conditions; asked every 5 ms"),
            (BY_HAND, "the same containers of that project, started in the order of their needs; asked every 5 ms")]


def tables(runs: int) -> Iterator[Table]:
    """Measure on a host of its own, and yield what came out."""
    click.echo(f"application: {runs} rounds of 3 ways ({SUITE})", err=True)
    with tempfile.TemporaryDirectory(prefix="ondemand-bench-") as temporary, unbooted(SUITE) as machine:
        machine.chroot("sh", "-c", "apt-get update -q && apt-get install -q -y --no-install-recommends docker-compose")
        machine.boot()
        prepare(machine, Path(temporary))
        make_project(machine)
        page = f"http://127.0.0.1:{PORT}/"
        by_compose = [[["docker-compose", "--project-directory", PROJECT, "start"]]]
        by_hand = [[["docker", "start", f"hand-{name}"] for name in step] for step in STEPS]
        times = in_turns([Alternative(COMPOSE, lambda: ask(machine, page, by_compose)),
                          Alternative(BY_HAND, lambda: ask(machine, page, by_hand)),
                          Alternative(HERE, lambda: ask(machine, "http://127.0.0.1:8080/"))], runs)
    yield comparison("The first page of an application of five containers", times, COMPOSE, [
        verdict("here to docker-compose start", ratio(times[HERE], times[COMPOSE]), LIMIT),
        verdict("here to by hand", ratio(times[HERE], times[BY_HAND]), LIMIT)])


def prepare(machine: Machine, directory: Path) -> None:
    """Install the application, and let its migration run."""
    machine.import_image("applications:1")
    machine.sh("mkdir /srv/applications")
    for path in DIRECTORY.iterdir():
        if path.suffix in (".py", ".conf"):
            machine.write(f"/srv/applications/{path.name}", path.read_text(encoding="utf-8"))
    done = subprocess.run([sys.executable, "-m", "ondemand_pkg", "build", "--quiet", "--format", "deb", "--output", directory,
                           DIRECTORY / "notes.toml"], stdout=subprocess.PIPE, text=True, check=True)
    machine.apt_install(*(Path(line) for line in done.stdout.splitlines() if "notes" in line))
    ask(machine, "http://127.0.0.1:8080/")


def make_project(machine: Machine) -> None:
    """Make the same containers as a Compose project, with a migrated database."""
    services = {}
    for name, needs in {**SERVICES, "migrate": ()}.items():
        made_from = json.loads(machine.sh(f"cat /usr/libexec/ondemand-notes-{name}/container.json"))
        options = dict(option.lstrip("-").split("=", 1) for option in made_from["options"])
        services[name] = {
            "image": made_from["image"], "command": made_from["command"], "entrypoint": [options["entrypoint"]],
            "container_name": f"hand-{name}", "depends_on": list(needs), "restart": "no",
            "volumes": [volume.replace("notes-db:", "hand-db:") for volume in made_from["volumes"]],
            **({"ports": [f"{PORT}:80"]} if name == "web" else {}),
            **({"working_dir": options["workdir"]} if "workdir" in options else {}),
            **({"stop_signal": options["stop-signal"]} if "stop-signal" in options else {})}
    machine.write(f"{PROJECT}/compose.yaml", json.dumps({"name": "hand", "services": services, "volumes": {"hand-db": {}}}))
    compose = f"docker-compose --project-directory {PROJECT}"
    machine.sh(f"{compose} up --detach db && until {compose} run --rm migrate; do sleep 0.5; done; "
               f"{compose} up --detach {' '.join(SERVICES)}", timeout=120)
    machine.sh(f"{compose} rm --force migrate")
    sleep(machine)


def ask(machine: Machine, url: str, steps: Sequence[Sequence[Sequence[str]]] = ()) -> Sample:
    """Return how long it takes to a page while all sleeps, the commands of some steps included; put all to sleep again."""
    done = machine.run("python3", "-c", ASK, url, json.dumps(steps), check=False)
    sleep(machine)
    return float(done.stdout) if done.returncode == 0 else None


def sleep(machine: Machine) -> None:
    machine.sh("systemctl stop 'ondemand-*-container.service'; docker ps -q | xargs -r docker stop >/dev/null; "
               "while docker ps -q | grep -q .; do sleep 0.1; done; sleep 1", timeout=120)
