"""How long the first request to a sleeping application takes, beside starting all of its containers by hand.

Knows that both ways lead to the same servers, with data of their own; hides how the containers by hand are made and reach each
other: in a network of the engine's, as Compose has it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
from hosts.machine import Machine, fresh

from .measure import Alternative, Sample, Table, comparison, in_turns, ratio, verdict

SUITE = "trixie"
TOOLS = ("mmdebstrap", "systemd-nspawn", "nsenter")
DIRECTORY = Path(__file__).parents[1] / "tests/hosts/applications"
HERE, BY_HAND = "here, asleep", "by hand: docker start in three steps, request"
LIMIT = 1.2
# What each of them is called by the others.
ALIASES = {"notes-db": "db", "notes-cache": "cache", "notes-app": "app", "notes-worker": "worker", "notes-web": "web"}
# As Compose starts them: nginx ends where it does not find the application's name.
STEPS = ("hand-notes-db,hand-notes-cache", "hand-notes-app", "hand-notes-worker,hand-notes-web")
# Runs on the host: starts what is named, step by step, those of a step at once; asks an address every 5 ms until it answers
# with a page; prints the seconds.
ASK = """
import subprocess, sys, time, urllib.request
begin = time.monotonic()
for step in sys.argv[2:]:
    for one in [subprocess.Popen(["docker", "start", name], stdout=subprocess.DEVNULL) for name in step.split(",")]:
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
            (BY_HAND, "the same five containers in a network of Docker's, started in the order of their needs, asked every 5 ms")]


def tables(runs: int) -> Iterator[Table]:
    """Measure on a host of its own, and yield what came out."""
    click.echo(f"application: {runs} rounds of 2 ways ({SUITE})", err=True)
    with tempfile.TemporaryDirectory(prefix="ondemand-bench-") as temporary, fresh(SUITE) as machine:
        prepare(machine, Path(temporary))
        address = by_hand(machine)
        times = in_turns([Alternative(BY_HAND, lambda: ask(machine, f"http://{address}/", *STEPS)),
                          Alternative(HERE, lambda: ask(machine, "http://127.0.0.1:8080/"))], runs)
    yield comparison("The first page of an application of five containers", times, BY_HAND, [
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


def by_hand(machine: Machine) -> str:
    """Make the same containers by hand, with a migrated database; return the address of the front."""
    machine.run("docker", "network", "create", "notes")
    for name in (*ALIASES, "notes-migrate"):
        made_from = json.loads(machine.sh(f"cat /usr/libexec/ondemand-{name}/container.json"))
        options = [option for option in made_from["options"] if not option.startswith(("--hostname", "--add-host"))]
        volumes = [f"--volume={volume.replace('notes-db:', 'hand-db:')}" for volume in made_from["volumes"]]
        machine.run("docker", "create", "--name", f"hand-{name}", "--network=notes",
                    f"--network-alias={ALIASES.get(name, name)}", *options, *volumes, made_from["image"], *made_from["command"])
    machine.run("docker", "start", "hand-notes-db")
    machine.sh("until docker start --attach hand-notes-migrate; do sleep 0.5; done", timeout=60)
    machine.run("docker", "start", *(f"hand-{name}" for name in ALIASES))
    address = str(machine.inspect("hand-notes-web")["NetworkSettings"]["Networks"]["notes"]["IPAddress"])
    sleep(machine)
    return address


def ask(machine: Machine, url: str, *started: str) -> Sample:
    """Return how long it takes to a page while all sleeps; put all to sleep again."""
    done = machine.run("python3", "-c", ASK, url, *started, check=False)
    sleep(machine)
    return float(done.stdout) if done.returncode == 0 else None


def sleep(machine: Machine) -> None:
    machine.sh("systemctl stop 'ondemand-*-container.service'; docker ps -q | xargs -r docker stop >/dev/null; "
               "while docker ps -q | grep -q .; do sleep 0.1; done; sleep 1", timeout=120)
