"""What administrators may rely on of `ondemand doctor`: it says what is wrong before a client finds out, and the remedy."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ondemand_host import checks, checks_network, doctor, main, places, services, sockets, systemd
from ondemand_host.checks import ERROR, WARNING, Trouble
from ondemand_host.places import Installed
from ondemand_host.systemd import Unit

WEB = Installed("web", "ondemand-web", "0.2.0")
WELL = {"ondemand-web.socket": Unit("active", "enabled", ("[::]:80",)), "ondemand-web.service": Unit(),
        "ondemand-web-container.service": Unit(), "docker.service": Unit("active")}
SEEN: dict[str, Any] = {
    "engine": "Docker", "place": "/run/docker.sock", "answers": True, "failure": None,
    "image": {"name": "x:1", "is_there": True, "archive": None, "pull": "docker pull x:1"},
    "workload": {"name": "ondemand-web", "is_there": True, "is_declared": True, "is_waiting": False, "is_running": False,
                 "is_paused": False}}


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A host where everything is as it should be; its package, its files and what systemd says of it."""
    for name, directory in (("LIBEXEC", "libexec"), ("ETC", "etc"), ("RUN", "run")):
        (tmp_path / directory).mkdir()
        monkeypatch.setattr(places, name, str(tmp_path / directory))
    declare(tmp_path)
    monkeypatch.setattr(systemd, "require_systemd", lambda: None)
    monkeypatch.setattr(systemd, "units", lambda names: {**WELL, "systemd-journald.service": Unit("active")})
    monkeypatch.setattr(systemd, "records", lambda names: [])
    monkeypatch.setattr(checks, "said", lambda argv: "")
    monkeypatch.setattr(checks, "look", lambda package: (SEEN, ""))
    yield tmp_path


def declare(host: Path, **values: object) -> None:
    directory = host / "libexec/ondemand-web"
    directory.mkdir(exist_ok=True)
    (directory / "container.json").write_text(json.dumps({"container": "ondemand-web", "built_by": "0.2.0", **values}))


def found(check: Any, units: dict[str, Unit] = WELL) -> list[Trouble]:
    return list(check(WEB, units))


def with_unit(name: str, unit: Unit) -> dict[str, Unit]:
    return {**WELL, name: unit}


def test_of_a_host_where_everything_is_well_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert [one for check in checks.OF_SERVICE for one in check(WEB, WELL)] == []
    assert main.main(["doctor"]) == 0
    assert capsys.readouterr().out == "host: nothing wrong\nweb: nothing wrong\n"


@pytest.mark.parametrize(("unit", "severity", "finding", "remedy"), [
    (Unit("active", "disabled"), WARNING, "after the next boot nothing listens", "systemctl enable ondemand-web.socket"),
    (Unit("inactive", "disabled"), ERROR, "is disabled, so clients are refused", "systemctl enable --now ondemand-web.socket"),
    (Unit("failed", "enabled", result="resources"), ERROR, "does not listen although it is enabled (resources)",
     "systemctl restart ondemand-web.socket; journalctl --unit ondemand-web.socket"),
    (Unit("inactive", "masked", load="masked"), ERROR, "is masked", "systemctl unmask")])
def test_a_socket_that_does_not_listen_now_or_after_the_next_boot_is_found(
    unit: Unit, severity: str, finding: str, remedy: str,
) -> None:
    (one,) = found(checks.listening, with_unit("ondemand-web.socket", unit))
    assert one.severity == severity and finding in one.finding and one.remedy.startswith(remedy)


def test_the_program_that_has_the_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "said", lambda argv: "ondemand-web: [::]:80 is used by nginx (process 12)\n")
    (one,) = found(checks.listening, with_unit("ondemand-web.socket", Unit("failed", "enabled", result="resources")))
    assert "is used by nginx (process 12)" in one.finding


@pytest.mark.parametrize(("unit", "severity", "finding"), [
    (Unit(load="not-found"), ERROR, "no usable unit ondemand-web.service (not-found)"),
    (Unit(load="masked"), ERROR, "ondemand-web.service is masked, so the next wake fails"),
    (Unit(is_outdated=True), WARNING, "has changed since systemd read it"),
    (Unit(fragment="/etc/systemd/system/ondemand-web.service"), WARNING, "replaces the package's unit")])
def test_units_that_are_not_those_of_the_package_are_found(unit: Unit, severity: str, finding: str) -> None:
    (one,) = found(checks.unit_files, with_unit("ondemand-web.service", unit))
    assert one.severity == severity and finding in one.finding and one.remedy


@pytest.mark.parametrize(("text", "keys"), [("[Service]\nKillMode=process\nType = simple\n", "KillMode=, Type="),
                                            ("[Service]\n# Type=simple\nMemoryMax=1G\n", "")])
def test_a_drop_in_that_breaks_the_helpers_is_found_and_others_are_left_alone(text: str, keys: str, tmp_path: Path) -> None:
    (tmp_path / "x.conf").write_text(text)
    unit = Unit(drop_ins=(str(tmp_path / "x.conf"),))
    assert [one.finding for one in found(checks.unit_files, with_unit("ondemand-web-container.service", unit))] == (
        [f"{tmp_path}/x.conf changes {keys}, which the helpers rely on"] if keys else [])


@pytest.mark.parametrize(("changes", "severity", "finding", "remedy"), [
    ({"answers": False, "image": None, "workload": None}, ERROR, "no Docker engine answers on /run/docker.sock",
     "start the engine"),
    ({"failure": "dependency cycle (a -> b -> a): no; install one", "image": None, "workload": None}, ERROR,
     "the next wake fails: dependency cycle (a -> b -> a): no", "install one"),
    ({"image": {**SEEN["image"], "is_there": False}, "workload": {**SEEN["workload"], "is_there": False, "is_declared": False}},
     ERROR, "the image x:1 is not on this host; the next wake pulls it while the client waits", "docker pull x:1"),
    ({"image": {**SEEN["image"], "is_there": False}, "workload": {**SEEN["workload"], "is_declared": False}},
     WARNING, "the next wake starts the previous container", "docker pull x:1"),
    ({"workload": {**SEEN["workload"], "is_there": False, "is_declared": False}}, WARNING,
     "the container ondemand-web does not exist; the next wake creates it", "container create"),
    ({"image": {**SEEN["image"], "is_there": False, "archive": "/nowhere/image.tar"},
      "workload": {**SEEN["workload"], "is_there": False, "is_declared": False}}, ERROR,
     "the image archive /nowhere/image.tar is missing", "install the package again"),
    ({"workload": {**SEEN["workload"], "is_running": True}}, WARNING, "runs without its service", "docker stop ondemand-web")])
def test_what_the_next_wake_would_find_at_the_engine_is_said_with_the_remedy(
    changes: dict[str, Any], severity: str, finding: str, remedy: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checks, "look", lambda package: ({**SEEN, **changes}, ""))
    (one,) = found(checks.engine)
    assert one.severity == severity and finding in one.finding and remedy in one.remedy


def test_an_image_is_not_missed_by_a_container_that_was_made_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "look", lambda package: ({**SEEN, "image": {**SEEN["image"], "is_there": False}}, ""))
    assert found(checks.engine) == []


def test_lines_of_the_administrators_file_that_are_ignored_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "ondemand-web: /etc/ondemand/web.env:3: not a KEY=value line; ignored"
    monkeypatch.setattr(checks, "look", lambda package: (SEEN, said))
    assert [one.finding for one in found(checks.engine)] == ["/etc/ondemand/web.env:3: not a KEY=value line; ignored"]


def test_an_engine_that_is_not_running_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "look", lambda package: pytest.fail("it was asked"))
    monkeypatch.setattr(checks, "said", lambda argv: "Wants=docker.service\n" if "show" in argv else "")
    (one,) = found(checks.engine, with_unit("docker.service", Unit("inactive")))
    assert "the next wake starts it" in one.finding


def test_helpers_of_an_older_release_are_found_and_newer_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for built_by, is_old in (("0.1.9", True), (None, True), ("0.2.0", False), ("0.10.0", False)):
        assert bool(list(checks.helpers(WEB._replace(built_by=built_by), WELL))) == is_old


def test_values_that_everybody_may_read_are_found(host: Path) -> None:
    path = host / "etc/web.env"
    for text, mode, count in (("A=1\n", 0o644, 1), ("A=1\n", 0o600, 0), ("# A=1\n\n", 0o644, 0), ("A=1\n", 0o640, 0)):
        path.write_text(text)
        path.chmod(mode)
        assert len([one for one in found(checks.environment_file) if "everybody can read" in one.finding]) == count


def test_a_directory_of_the_host_that_is_not_there_is_found(host: Path) -> None:
    declare(host, volumes=[f"{host}:/there:ro", f"{host}/gone:/gone", "data:/data", "/anonymous"])
    (one,) = found(checks.host_directories)
    assert one.finding.startswith(f"{host}/gone, which the container uses") and "created empty" in one.finding


def test_the_proxy_of_systemd_is_found_where_selinux_is_enforcing(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enforce = host / "enforce"
    monkeypatch.setattr(checks, "SELINUX", str(enforce))
    (host / "libexec/ondemand-web/proxyd").touch()
    assert found(checks.proxied) == []
    enforce.write_text("0\n")
    assert found(checks.proxied) == []
    enforce.write_text("1\n")
    assert "each client of systemd-socket-proxyd loses its connection" in found(checks.proxied)[0].finding
    (host / "libexec/ondemand-web/proxyd").unlink()
    assert found(checks.proxied) == []


def test_a_required_container_that_is_not_installed_is_found(host: Path) -> None:
    declare(host, requires=["web", "db"])
    assert [one.remedy for one in found(checks.required)] == ["install the package ondemand-db"]


def test_a_last_wake_that_failed_is_said_until_one_succeeds(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (host / "run/ondemand-web").mkdir()
    (host / "run/ondemand-web/end").write_text("3 1.0\n")
    monkeypatch.setattr(systemd, "journal_is_readable", lambda: True)
    monkeypatch.setattr(systemd, "records", lambda names: [systemd.Record("web", 1.0, True, reason="no\nspace")])
    assert [one.finding for one in found(checks.last_wake)] == ["the last 3 wakes failed: no space"]
    assert found(checks.last_wake, with_unit("ondemand-web-container.service", Unit("active"))) == []


def test_a_full_disk_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs("/")
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result((4096, 4096, 10**6, 10, 5000, *tuple(real)[5:])))
    assert {one.severity for one in checks.of_host()} == {ERROR}


def test_what_is_wrong_is_printed_with_its_remedy_and_the_exit_status_is_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(checks, "OF_SERVICE", (lambda package, units: [Trouble(ERROR, "it\nis \x1b[31mbroken", "mend it")],))
    assert main.main(["doctor", "web"]) == 1
    assert "web: error: it is \\x1b[31mbroken\n    remedy: mend it\n" in capsys.readouterr().out
    assert main.main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["web"] == [
        {"severity": "error", "finding": "it\nis \x1b[31mbroken", "remedy": "mend it"}]
    assert services.last_end("/nowhere") == (0, 0.0) and doctor.HOST == "host"


@pytest.mark.parametrize(("unit", "severity", "finding", "remedy"), [
    (Unit("inactive", "disabled"), ERROR, "is disabled, so the task never runs", "systemctl enable --now ondemand-wake@c_.timer"),
    (Unit("inactive", "enabled"), ERROR, "does not run, so the task never runs", "systemctl enable --now ondemand-wake@c_.timer"),
    (Unit("active", "disabled"), WARNING, "after the next boot the task never runs", "systemctl enable ondemand-wake@c_.timer"),
    (Unit("inactive", "masked", load="masked"), ERROR, "is masked, so the task never runs", "systemctl unmask")])
def test_the_timer_of_a_task_has_to_run(unit: Unit, severity: str, finding: str, remedy: str) -> None:
    package = places.Installed("c+", "ondemand-c_", schedule=("daily",))
    (trouble,) = checks.ticking(package, {package.timer: unit})
    assert trouble.severity == severity and finding in trouble.finding and trouble.remedy.startswith(remedy)
    assert list(checks.ticking(package, {package.timer: Unit("active", "enabled")})) == []
    assert list(checks.listening(package, {})) == [] == list(checks.ticking(places.Installed("c", "ondemand-c"), {}))


# The way from the clients


def test_another_socket_at_the_same_port_of_udp_is_found(tmp_path: Path) -> None:
    line = " 1: {}:6987 {}:0000 07 00000000:00000000 00:00000000 00000000 0 0 {} 2 0000000000000000 0\n"
    anywhere, six = "00000000", "0" * 32
    (tmp_path / "udp").write_text("head\n" + line.format(anywhere, anywhere, 5))
    (tmp_path / "udp6").write_text("head\n" + line.format(six, six, 6))
    assert sockets.shared(["[::]:27015/udp", "[::]:80"], tmp_path) == ["[::]:27015/udp"]
    (tmp_path / "udp").write_text("head\n")
    assert sockets.shared(["[::]:27015/udp"], tmp_path) == []
    (tmp_path / "udp6").write_text("head\n" + 2 * line.format(six, six, 6))
    assert sockets.shared(["[::]:27015/udp"], tmp_path) == ["[::]:27015/udp"]
    # A socket of IPv6 may be for IPv6 alone, which the kernel's table does not tell.
    (tmp_path / "udp").write_text("head\n" + line.format(anywhere, anywhere, 5))
    assert sockets.shared(["0.0.0.0:27015/udp"], tmp_path) == []


def test_a_shared_port_is_said_with_what_shows_whose_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "shared", lambda addresses: [one for one in addresses if one.endswith("/udp")])
    (one,) = found(checks_network.sharing, with_unit("ondemand-web.socket", Unit("active", "enabled", ("[::]:53/udp",))))
    assert "another socket has [::]:53/udp too" in one.finding and one.remedy.startswith("ss --udp")


DOOR, HELPER = "ondemand-kernel@web.socket", "ondemand-kernel@web.service"


@pytest.mark.parametrize(("name", "unit", "finding", "remedy"), [
    (DOOR, Unit("active"), "", ""),
    (DOOR, Unit("inactive"), f"{DOOR} does not listen, so the relay forwards all connections", f"systemctl start {DOOR}"),
    (DOOR, Unit(load="masked"), f"{DOOR} is masked, so the relay", f"systemctl unmask {DOOR}"),
    (HELPER, Unit(load="not-found"), f"{HELPER} is missing, so the relay", "systemctl daemon-reload"),
    (HELPER, Unit(is_outdated=True), f"{HELPER} has changed since", "systemctl daemon-reload")])
def test_what_keeps_the_kernel_from_leading_clients_is_found(
    host: Path, name: str, unit: Unit, finding: str, remedy: str,
) -> None:
    units = {**WELL, DOOR: Unit("active"), HELPER: Unit(), name: unit}
    assert found(checks_network.passing, units) == [], "the package has no such path"
    (host / "libexec/ondemand-web/kernel").touch()
    assert [(finding in one.finding, one.remedy.startswith(remedy)) for one in found(checks_network.passing, units)] == (
        [(True, True)] if finding else [])


def test_why_the_relay_forwards_all_since_the_last_wake_is_said(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (host / "libexec/ondemand-web/kernel").touch()
    units = {**WELL, DOOR: Unit("active"), HELPER: Unit("active")}
    said = 'Started X.\nondemand-web: path = "kernel" is not possible: no nft; the relay forwards all connections\n'
    monkeypatch.setattr(checks, "said", lambda argv: said)
    (one,) = found(checks_network.passing, units)
    assert "docs/firewall.md" in one.remedy
    assert "no nft" in one.finding and one.severity == WARNING
    said += "Stopped X.\nStarted X.\n"
    assert found(checks_network.passing, units) == []


@pytest.mark.parametrize(("unit", "finding"), [
    (None, ""), (Unit("active"), ""), (Unit("inactive"), "does not run, so the clock does not wake it"),
    (Unit(load="masked"), "is masked, so the clock does not wake it"), (Unit(load="not-found"), "")])
def test_a_timer_that_wakes_nothing_is_found(unit: Unit | None, finding: str) -> None:
    units = WELL if unit is None else with_unit("ondemand-wake@web.timer", unit)
    assert [finding in one.finding for one in found(checks_network.waking, units)] == ([True] if finding else [])
