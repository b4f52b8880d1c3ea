"""No client is lost, whatever the order in which clients come, containers end, services are stopped, and systemd notices it.

The helpers of a package run as programs, each in its turn, under a clock of the search's own; every order is tried from the
beginning, and the same ones are tried at each run.  Release 0.1.0 shows that the search finds something.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from requirements import need

from .races import DECLARATION, NO_LIMIT, TOOLS, TOP, Found, built, search, unpacked

OLD = TOP / "tests/data/0.1.0"
NAPS = DECLARATION.format(action="pause").replace("web", "naps").replace("80:80", "8081:80")  # as 0.1.0's package declares
# Package, scenario, and how many orders are tried, the shortest ways from the usual one first; tools/search-races tries all.
TODAY = {("stop", "asleep"): 80, ("stop", "killed"): 45, ("stop", "stopped"): 35, ("pause", "asleep"): NO_LIMIT,
         ("0.1.0 pause", "upgraded"): 30}
BEFORE = {"asleep": "a client is held for more than", "killed": "a client is reset after"}
FEW = 25  # orders: fewer are not worth much

Searches = dict[tuple[str, str], "Future[Found]"]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return packages, unpacked, by the release and how they sleep."""
    texts = {action: DECLARATION.format(action=action) for action in ("stop", "pause")} | {"naps": NAPS}
    found = {}
    for name, text in texts.items():
        directory = tmp_path_factory.mktemp(name)
        found[name] = unpacked(built(directory, text), directory / "root")
    for name, file, options in (("stop", "nginx", "--idle 1"), ("pause", "naps", "")):
        found[f"0.1.0 {name}"] = unpacked(OLD / f"ondemand-{file}_1.0-1_all.deb", tmp_path_factory.mktemp("old"), options)
    return found


@pytest.fixture(scope="module")
def searches(packages: dict[str, Path]) -> Searches:
    """Begin all searches, as many at once as there are processors."""
    need(*TOOLS, root=True)
    pool = ThreadPoolExecutor(os.cpu_count())
    asked = {("0.1.0 stop", scenario): NO_LIMIT for scenario in BEFORE} | TODAY
    found = {(package, scenario): pool.submit(search, packages[package], scenario, most_orders=most, upgrade=packages["naps"])
             for (package, scenario), most in asked.items()}
    pool.shutdown(wait=False)
    return found


@pytest.mark.parametrize(("package", "scenario"), TODAY)
def test_no_client_is_lost_in_any_order(searches: Searches, package: str, scenario: str) -> None:
    found = searches[package, scenario].result()
    assert not found.faults, str(found)
    assert found.orders >= FEW


@pytest.mark.parametrize("scenario", BEFORE)
def test_the_search_finds_the_clients_that_release_0_1_0_loses(searches: Searches, scenario: str) -> None:
    (fault,) = searches["0.1.0 stop", scenario].result().faults
    assert str(fault["fault"]).startswith(BEFORE[scenario])
