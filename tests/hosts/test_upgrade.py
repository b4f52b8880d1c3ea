"""Release 0.1.0 is upgraded and downgraded at every moment of a service's life: no client is lost, no container replaced.

The packages are that release's own, as .rpm on the oldest suite, as .deb on the newest."""

from __future__ import annotations

import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from requirements import need

from .conftest import TOOLS, built
from .machine import fresh
from .managers import Manager
from .roots import ENDS

FIRST = Path(__file__).parents[1] / "data/0.1.0"
NAMES = ("nginx", "naps", "shop")
PORTS = {"nginx": 80, "naps": 8081, "shop": 8082}
OK = {"HTTP/1.0 200 OK", "HTTP/1.1 200 OK"}


class Site:
    """A host with the packages of release 0.1.0, and today's beside it."""

    def __init__(self, manager: Manager, newer: dict[str, Path]) -> None:
        self.manager = manager
        self.machine = manager.machine
        self.older = [next(FIRST.glob(f"ondemand-{name}[-_]*.{manager.kind}")) for name in NAMES]
        self.newer = [newer[f"{manager.kind}/{name}"] for name in NAMES]

    def upgrade(self) -> None:
        self.manager.install(*self.newer)

    def downgrade(self) -> None:
        for package in self.older:
            self.manager.downgrade(package)

    def containers(self) -> dict[str, str]:
        return {name: str(self.machine.inspect(f"ondemand-{name}")["Id"]) for name in NAMES}

    def state(self, name: str) -> str:
        return str(self.machine.inspect(f"ondemand-{name}")["State"]["Status"])

    def processes(self, name: str) -> list[str]:
        units = (f"ondemand-{name}.service", f"ondemand-{name}-container.service")
        return [self.machine.run("systemctl", "show", "-P", "MainPID", unit).stdout.strip() for unit in units]

    def get(self, name: str) -> str:
        return self.machine.get(f"http://127.0.0.1:{PORTS[name]}/")

    def until(self, name: str, state: str) -> None:
        self.machine.sh(f"until docker inspect -f '{{{{.State.Status}}}}' ondemand-{name} | grep -qx {state}; do sleep 0.1; done")

    def stop(self, *names: str) -> None:
        self.machine.run("systemctl", "stop", *(f"ondemand-{name}-container.service" for name in names or NAMES))


@pytest.fixture(scope="module", params=[f"{ENDS[0]}-rpm", f"{ENDS[1]}-deb"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    need(*TOOLS, root=True)
    suite, kind = request.param.split("-")
    text = (FIRST / "packages.toml").read_text().replace("[package]\n", "[package]\nrelease = 2\n")
    newer = built(tmp_path_factory.mktemp("newer"), text)
    with fresh(suite) as machine:
        machine.sh("mkdir -p /srv/shop")
        site = Site(Manager(machine, kind), newer)
        site.manager.install(*site.older)
        yield site


def asleep(site: Site) -> None:
    site.stop()


def awake(site: Site) -> None:
    assert [site.get(name) for name in NAMES] == ["200"] * len(NAMES)


def paused(site: Site) -> None:
    site.stop()
    assert site.get("naps") == "200"
    site.until("naps", "paused")


def waking(site: Site) -> subprocess.Popen[str]:
    """The shop needs two seconds to start, and what it requires before."""
    site.stop()
    client = site.machine.start("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{PORTS['shop']}/")
    site.until("shop", "running")
    return client


def stopping(site: Site) -> None:
    """A container that does not heed the signal to stop is killed after five seconds, its 'stop_timeout'."""
    assert site.get("shop") == "200"
    site.machine.run("docker", "kill", "--signal=STOP", "ondemand-shop")
    site.machine.run("systemctl", "--no-block", "stop", "ondemand-shop-container.service")


@pytest.fixture(autouse=True)
def of_the_first_release(site: Site) -> None:
    """Each test begins with what release 0.1.0 has installed."""
    if not all(site.manager.version(f"ondemand-{name}").startswith("ii 1.0-1") for name in NAMES):
        site.downgrade()


@pytest.mark.parametrize("moment", [asleep, awake, paused, waking, stopping], ids=lambda moment: moment.__name__)
def test_an_upgrade_and_a_downgrade_lose_no_client_and_replace_no_container(
    site: Site, moment: Callable[[Site], subprocess.Popen[str] | None],
) -> None:
    before = site.containers()
    for change in (site.upgrade, site.downgrade):
        client = moment(site)
        change()
        if client is not None:
            assert client.communicate(timeout=90)[0] == "200"
        assert site.containers() == before
        assert [site.get(name) for name in NAMES] == ["200"] * len(NAMES)
    assert site.containers() == before


def test_eight_clients_are_answered_while_the_packages_are_upgraded_and_downgraded(site: Site) -> None:
    before, found, over = site.containers(), Counter[str](), threading.Event()

    def client(name: str) -> None:
        while not over.is_set():
            found.update(site.machine.clients(1, ("127.0.0.1", PORTS[name])))

    clients = [threading.Thread(target=client, args=(name,)) for name in ("nginx", "naps", "shop", "nginx") for _ in range(2)]
    for thread in clients:
        thread.start()
    try:
        site.upgrade()
        upgraded = sum(found.values())
        site.downgrade()
    finally:
        over.set()
        for thread in clients:
            thread.join()
    assert set(found) <= OK and upgraded >= 8, found
    assert site.containers() == before


def test_the_programs_of_a_life_that_began_before_an_upgrade_go_on_and_are_stopped_like_new_ones(site: Site) -> None:
    site.stop()
    awake(site)
    before = site.processes("nginx")
    site.upgrade()
    assert site.get("nginx") == "200" and site.processes("nginx") == before
    site.stop("nginx")
    assert site.state("nginx") == "exited" and site.get("nginx") == "200" and site.processes("nginx") != before


def test_removal_leaves_nothing_of_either_release(site: Site) -> None:
    awake(site)
    site.upgrade()
    site.manager.purge(*(f"ondemand-{name}" for name in NAMES))
    assert [line for line in site.machine.traces() if "ondemand" in line] == []
    site.manager.install(*site.older)
