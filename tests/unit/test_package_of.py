"""What users may rely on: a package holds what the reference page says, and its time is told, never taken from a clock."""

from __future__ import annotations

import dataclasses
import gzip
import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ondemand_pkg.contents import package_of
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import DEB, FORMATS, RPM
from ondemand_pkg.model import Container, Port, Ready, ReadyKind, Release, Resolved, TcpAddress
from ondemand_pkg.package import Kind, Package, Role

NGINX = Container("nginx", "nginx:1.27", "1.27.0", (Port(TcpAddress(None, 80), 80),))


def files(package: Package) -> dict[str, bytes]:
    return {entry.path: entry.data for entry in package.entries if entry.kind is Kind.FILE}


@pytest.mark.parametrize("format_name", ["deb", "rpm"])
def test_the_units_the_helpers_and_the_administrators_file_are_where_the_contract_says(format_name: str) -> None:
    paths = set(files(package_of.package(Resolved(NGINX), FORMATS[format_name], 0)))
    assert paths >= {
        "/usr/lib/systemd/system/ondemand-nginx.socket", "/usr/lib/systemd/system/ondemand-nginx.service",
        "/usr/lib/systemd/system/ondemand-nginx-container.service", "/usr/libexec/ondemand-nginx/waitport",
        "/etc/ondemand/nginx.env"}
    assert ("/usr/lib/systemd/system-preset/80-ondemand-nginx.preset" in paths) == (format_name == "rpm")


@pytest.mark.parametrize("format_name", ["deb", "rpm"])
def test_the_administrators_file_is_kept_at_upgrades_and_read_by_root_alone(format_name: str) -> None:
    package = package_of.package(Resolved(NGINX), FORMATS[format_name], 0)
    (entry,) = [entry for entry in package.entries if entry.path.endswith(".env")]
    assert entry.role is Role.CONFIG and entry.mode == 0o600


def test_metrics_bring_their_helper_only_where_they_are_declared() -> None:
    helper = "/usr/libexec/ondemand-nginx/metrics.py"
    assert helper in files(package_of.package(Resolved(dataclasses.replace(NGINX, metrics="/srv/textfile")), DEB, 0))
    assert helper not in files(package_of.package(Resolved(NGINX), DEB, 0))


def test_both_formats_make_the_same_container() -> None:
    deb, rpm = (files(package_of.package(Resolved(NGINX), format, 0)) for format in (DEB, RPM))
    shared = [path for path in deb if "/libexec/" in path or "/systemd/system/" in path]
    assert len(shared) == 63 and all(deb[path] == rpm[path] for path in shared)


def test_the_label_tells_exactly_what_the_container_is_made_from() -> None:
    def spec(container: Container) -> str:
        found = files(package_of.package(Resolved(container), DEB, 0))
        return str(json.loads(found["/usr/libexec/ondemand-nginx/container.json"])["spec"])

    assert spec(NGINX) == spec(dataclasses.replace(NGINX, version="2", release=7, description="Another", ports=(
        Port(TcpAddress(None, 81), 80),)))
    others = [dataclasses.replace(NGINX, image="nginx:1.28"), dataclasses.replace(NGINX, env={"A": ""}),
              dataclasses.replace(NGINX, user="1")]
    assert len({spec(NGINX), *map(spec, others)}) == 4


def test_a_changed_readiness_is_no_reason_to_make_the_container_anew() -> None:
    def declared(container: Container) -> dict[str, object]:
        text = files(package_of.package(Resolved(container), DEB, 0))["/usr/libexec/ondemand-nginx/container.json"]
        return dict(json.loads(text))

    asked = declared(dataclasses.replace(NGINX, ready=Ready(ReadyKind.HTTP, path='/a?b="c"', status=204)))
    assert asked["ready"] == {"path": '/a?b="c"', "status": 204, "proxy_protocol": ""}
    assert asked["spec"] == declared(NGINX)["spec"]


@pytest.mark.parametrize(("changes", "helper"), [
    ({"ready": Ready(ReadyKind.HTTP)}, "httpcheck.py"), ({"ready": Ready(ReadyKind.EXEC)}, "execcheck.py"),
    ({"ready": Ready(ReadyKind.HEALTHCHECK)}, "execcheck.py"), ({"ready": Ready(ReadyKind.LOG)}, "logcheck.py"),
    ({"metrics": "/srv/metrics"}, "metrics.py")])
def test_a_package_holds_the_helpers_that_it_needs(changes: dict[str, Any], helper: str) -> None:
    path = f"/usr/libexec/ondemand-nginx/{helper}"
    assert path in files(package_of.package(Resolved(dataclasses.replace(NGINX, **changes)), DEB, 0))
    assert path not in files(package_of.package(Resolved(NGINX), DEB, 0))


@pytest.mark.parametrize("program", ["container", "look", "run", "waitport", "relay"])
def test_a_packaged_program_finds_all_that_it_loads(tmp_path: Path, program: str) -> None:
    for path, data in files(package_of.package(Resolved(NGINX), DEB, 0)).items():
        if path.startswith("/usr/libexec/"):
            (tmp_path / path[1:]).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path[1:]).write_bytes(data)
    called = [sys.executable, "-ESB", str(tmp_path / "usr/libexec/ondemand-nginx" / program), "--no-such-option"]
    done = subprocess.run(called, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith(f"Usage: {program} ")


@pytest.mark.parametrize(("format_name", "relation"), [("deb", "depends"), ("rpm", "requires")])
def test_a_required_containers_package_is_installed_too(format_name: str, relation: str) -> None:
    package = package_of.package(Resolved(dataclasses.replace(NGINX, requires=("db",))), FORMATS[format_name], 0)
    assert "ondemand-db" in package.relations[relation]


@pytest.mark.parametrize("changes", [1, 40000])
def test_the_debian_changelog_is_gzip_that_every_tool_reads(changes: int) -> None:
    container = dataclasses.replace(NGINX, changelog=(Release(date(2025, 3, 1), "1.27.0-1", ("A change.",) * changes),))
    found = files(package_of.package(Resolved(container), DEB, 0))
    text = gzip.decompress(found["/usr/share/doc/ondemand-nginx/changelog.Debian.gz"])
    assert text.decode() == ("ondemand-nginx (1.27.0-1) stable; urgency=medium\n\n" + "  * A change.\n" * changes
                             + "\n -- ondemand-pkg <nobody@ondemand-pkg.invalid>  Sat, 01 Mar 2025 00:00:00 +0000\n")


def test_the_time_is_that_of_source_date_epoch_then_the_newest_change_then_a_constant() -> None:
    changed = dataclasses.replace(NGINX, changelog=(
        Release(date(2025, 3, 1), "2", ("B",)), Release(date(2024, 3, 1), "1", ("A",))))
    assert package_of.timestamp(changed, {"SOURCE_DATE_EPOCH": "77"}) == 77
    assert package_of.timestamp(changed, {}) == 1740787200
    assert package_of.timestamp(NGINX, {}) == 1577836800


@pytest.mark.parametrize("epoch", ["now", "-1", "1.5", "4294967296", "９"])
def test_a_senseless_source_date_epoch_is_refused(epoch: str) -> None:
    with pytest.raises(OndemandError, match="SOURCE_DATE_EPOCH"):
        package_of.timestamp(NGINX, {"SOURCE_DATE_EPOCH": epoch})
