"""Hosts for tests: one fresh host for each module and suite."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from requirements import need

from ondemand_pkg.building import packing
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.formats import FORMATS

from .machine import Machine, fresh
from .managers import Manager
from .roots import ENDS, SUITES_OF_BUILDERS

NGINX = '[container.nginx]\nimage = "nginx:1.27"\nversion = "1.27.0"\nports = ["80:80"]\n'
TOOLS = ("mmdebstrap", "systemd-nspawn", "rpmbuild", "nsenter")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.host)


@pytest.fixture(scope="module", params=ENDS)
def host(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A fresh host of the oldest and of the newest suite."""
    need(*TOOLS, root=True)
    with fresh(request.param) as machine:
        yield machine


@pytest.fixture(scope="module", params=SUITES_OF_BUILDERS)
def host_of_builder(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A fresh host on which ondemand-pkg runs, of the oldest and of the newest suite."""
    need(*TOOLS, root=True)
    with fresh(request.param) as machine:
        yield machine


@pytest.fixture(scope="module")
def trixie() -> Iterator[Machine]:
    """A fresh host where one suite is enough."""
    need(*TOOLS, root=True)
    with fresh("trixie") as machine:
        yield machine


def manager_on(*hosts: str) -> object:
    """Return a fixture: a package manager on a fresh host, for each of the likes of "trixie-deb"."""
    @pytest.fixture(scope="module", params=hosts)
    def manager(request: pytest.FixtureRequest) -> Iterator[Manager]:
        need(*TOOLS, root=True)
        suite, kind = request.param.split("-")
        with fresh(suite) as machine:
            yield Manager(machine, kind)

    return manager


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and report.when in ("setup", "call"):
        values = getattr(item, "funcargs", {}).values()
        hosts = {found for value in values for found in (value, getattr(value, "machine", None)) if isinstance(found, Machine)}
        for machine in hosts:
            report.sections.append(("host", machine.evidence()))
    return report


def built(directory: Path, text: str, **formats: object) -> dict[str, Path]:
    """Build a declaration; return the packages by format and name, such as "deb/nginx"."""
    declaration = directory / "declaration.toml"
    declaration.write_text(text)
    containers = read([str(declaration)])
    paths = packing.write(packing.tasks(containers, FORMATS.values(), {}), directory / "dist")
    keys = [f"{name}/{container.name}" for container in containers for name in FORMATS]
    return dict(zip(keys, paths, strict=True))
