"""What users may rely on of services that are woken by the clock."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import waker
from process import Failure

from ondemand_pkg.contents.helper_files import programs
from ondemand_pkg.contents.scripts import scripts
from ondemand_pkg.contents.units import units
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.errors import DeclarationError
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.model import Container

WEB = '[container.web]\nimage = "nginx:1"\nversion = "1"\n'
PORTS = 'ports = ["80:80"]\n'


def declared(tmp_path: Path, text: str) -> Container:
    path = tmp_path / "site.toml"
    path.write_text(text)
    return next(one for one in read([str(path)]) if one.name == "web")


@pytest.mark.parametrize(("value", "events"), [
    ('"Mon..Fri 07:45"', ("Mon..Fri 07:45",)), ('["daily", "*-*-01 06:00"]', ("daily", "*-*-01 06:00"))])
def test_a_timer_runs_beside_the_socket_and_wakes_at_each_moment(tmp_path: Path, value: str, events: tuple[str, ...]) -> None:
    container = declared(tmp_path, WEB + PORTS + f"wake_at = {value}\n")
    found = units(container)
    timer = found["ondemand-wake@web.timer"]
    assert [line for line in timer.splitlines() if line.startswith("OnCalendar=")] == [f"OnCalendar={event}" for event in events]
    assert "PartOf=ondemand-web.socket\n" in timer and "Wants=ondemand-wake@web.timer\n" in found["ondemand-web.socket"]
    waker_unit = found["ondemand-wake@web.service"]
    assert "ExecStart=/usr/libexec/ondemand-web/waker\n" in waker_unit and "PartOf=ondemand-web.socket\n" in waker_unit
    assert "waker" in programs(container)


def test_what_is_not_woken_by_the_clock_has_no_timer(tmp_path: Path) -> None:
    container = declared(tmp_path, WEB + PORTS)
    assert not [name for name in units(container) if "wake@" in name] and "waker" not in programs(container)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_scripts_start_the_timer_where_the_socket_listens_and_stop_it_before_another_version(tmp_path: Path, name: str) -> None:
    texts = scripts(declared(tmp_path, WEB + PORTS + 'wake_at = "daily"\n'), FORMATS[name])
    starts = texts["postinst" if name == "deb" else "posttrans"]
    for unit in ("ondemand-web-container.socket", "ondemand-wake@web.timer"):
        assert f"is-active ondemand-web.socket; then systemctl restart {unit} >/dev/null 2>&1 || true; fi\n" in starts
    stops = texts["prerm" if name == "deb" else "preun"]
    assert "systemctl stop ondemand-web-container.socket ondemand-wake@web.timer" in stops
    assert "stop ondemand-web.socket ondemand-web-container.socket ondemand-wake@web.timer ondemand-wake@web.service" in stops


@pytest.mark.parametrize(("text", "message"), [
    (WEB + PORTS + 'wake_at = "at eight"\n', 'site.toml:5: container.web.wake_at: found "at eight"; allowed: a moment of'),
    (WEB + PORTS + "wake_at = 8\n", "site.toml:5: container.web.wake_at: found 8; expected a moment of the calendar as systemd"),
    (WEB + PORTS + 'wake_at = ["daily", "25:00"]\n', r'wake_at\[1\]: found "25:00"; allowed: a moment of the calendar'),
    (WEB + 'companion_of = ["db"]\nwake_at = "daily"\n', "wake_at: nothing connects to a companion"),
    (WEB + 'task = true\nbefore = ["db"]\nwake_at = "daily"\n', "wake_at: a task runs to its end")])
def test_each_mistake_is_an_error_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        declared(tmp_path, text)


class Held:
    def __init__(self) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_open = False


@pytest.fixture
def helper(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(waker, "NAME", "web")
    monkeypatch.setattr(waker, "UNITS", "ondemand-web")
    return waker


def test_the_timers_program_waits_until_the_service_is_ready_and_its_proxy_runs_and_holds_it_no_longer(
    helper: ModuleType, monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = Held()
    ran: list[list[str]] = []

    def start(argv: list[str]) -> int:
        assert held.is_open
        ran.append(argv)
        return 1

    def ready(name: str, wakes: bool, kind: str) -> Held:
        assert (name, wakes, kind) == ("web", True, "service")
        return held

    monkeypatch.setattr(helper, "await_ready", ready)
    monkeypatch.setattr(helper.programs, "start", start)
    monkeypatch.setattr(helper.programs, "wait", lambda child: True)
    assert helper.main([]) == 0 and not held.is_open
    assert ran == [["systemctl", "--no-block", "start", "ondemand-web.service"]], "a proxy that ended meanwhile is started again"


def test_a_wake_that_fails_is_told(
    helper: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise Failure("the service 'web' could not be started")

    monkeypatch.setattr(helper, "await_ready", fails)
    assert helper.main([]) == 1 and "the service 'web' could not be started\n" in capfd.readouterr().err
    assert helper.main(["x"]) == 2
