"""What users may rely on of companions: what a declaration may say, and how a service keeps them and they let go."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import attending
import companions as helper
import control
import outcome
import pytest
import required
from fake_docker import FakeDocker
from process import Failure
from run_host import Host, until

from ondemand_host import table
from ondemand_host.services import Service, Survey
from ondemand_pkg import layout
from ondemand_pkg.checking.findings import findings
from ondemand_pkg.contents import package_of
from ondemand_pkg.contents.declaration_file import as_toml
from ondemand_pkg.declaration.reader import read, read_declared
from ondemand_pkg.errors import DeclarationError
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.model import ReadyKind, Resolved

WEB = '[package]\nversion = "1"\n[container.web]\nimage = "a:1"\nports = ["80:80"]\n'


def worker(rest: str, name: str = "worker") -> str:
    return f'[container.{name}]\nimage = "a:1"\n{rest}\n'


def faults(directory: Path, text: str) -> list[str]:
    (directory / "site.toml").write_text(text)
    with pytest.raises(DeclarationError) as told:
        read([str(directory / "site.toml")])
    return [f"{fault.key}: {fault.message}" for fault in told.value.faults]


def test_a_companion_needs_no_ports_and_is_ready_once_it_is_started(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(WEB + worker('companion_of = ["web"]'))
    web, found = read([str(tmp_path / "site.toml")])
    assert not found.listens and found.ready.kind is ReadyKind.STARTED and web.ready.kind is ReadyKind.TCP


@pytest.mark.parametrize("format_name", ["deb", "rpm"])
def test_a_companion_with_ports_listens_and_is_ready_once_it_takes_connections(tmp_path: Path, format_name: str) -> None:
    text = WEB + worker('companion_of = ["web"]\nports = ["81:80"]\nallow = ["10.0.0.0/8"]')
    (tmp_path / "site.toml").write_text(text)
    _, found = read([str(tmp_path / "site.toml")])
    assert found.listens and found.ready.kind is ReadyKind.TCP
    files = {entry.path: entry.data for entry in package_of.package(Resolved(found), FORMATS[format_name], 0).entries}
    units = "/usr/lib/systemd/system/ondemand-worker"
    assert f"{units}.socket" in files and b"/run --companion --with-clients -- " in files[f"{units}-container.service"]
    assert files["/usr/libexec/ondemand/web/worker"] == b"companion\n"


@pytest.mark.parametrize(("rest", "told"), [
    ('companion_of = ["web"]\nports = ["81:80"]\nidle = "1h"', "idle: a companion sleeps when the last container of companion_of "
     "does, and no client is connected to it; leave the key out"),
    ('companion_of = ["web"]\nexpose = ["80"]\nwake_at = "03:30"', "wake_at: a companion sleeps when the last container of "
     "companion_of does, and no client is connected to it; leave the key out"),
    ('companion_of = ["web"]\nidle = "1h"', "idle: nothing connects to a companion, and it sleeps when the last container of "
     "companion_of does; leave the key out"),
    ('companion_of = ["web"]\nready = { http = "/" }', 'ready: http asks a port, and a companion has none; write "started", or a '
     "table with healthcheck, exec or log"),
    ('companion_of = ["web"]\nbefore = ["api"]', 'before: found "api", which is not in companion_of; write it into companion_of '
     "too, or leave it out"),
    ('ports = ["81:80"]\nbefore = ["web"]', "before: it says what waits for a task or a companion, and this container is "
     "neither; write task = true or companion_of too"),
    ('companion_of = ["web"]\nrequires = ["web"]', 'requires: "web" would be kept awake by its own companion, and never sleep; '
     "leave it out: it is awake"),
])
def test_what_contradicts_is_told_with_the_remedy(tmp_path: Path, rest: str, told: str) -> None:
    assert f"container.worker.{told}" in faults(tmp_path, WEB + worker(rest))


def test_companions_of_each_other_are_a_cycle(tmp_path: Path) -> None:
    text = WEB + worker('companion_of = ["other"]') + worker('companion_of = ["worker"]', "other")
    assert faults(tmp_path, text) == ["container.other.companion_of: dependency cycle worker -> other -> worker: each would keep "
                                      "the next one awake; leave one of these names out"]


def test_one_that_keeps_awake_what_keeps_it_awake_is_a_cycle(tmp_path: Path) -> None:
    text = WEB + worker('companion_of = ["web"]\nrequires = ["db"]') + worker('expose = ["80"]\nrequires = ["web"]', "db")
    (told,) = faults(tmp_path, text)
    assert "dependency cycle web -> worker -> db -> web: each would keep the next one awake" in told


def test_a_service_that_no_file_declares_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(WEB + worker('companion_of = ["web", "wbe"]'))
    found = findings(read_declared([str(tmp_path / "site.toml")]))
    assert [(one.rule.name, one.finding) for one in found if one.rule.key == "companion_of"] == [
        ("service-unknown", "none of the files declares 'wbe'")]


def test_its_declaration_is_in_its_package_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(WEB + worker('companion_of = ["web", "api"]\nbefore = ["api"]'))
    found = read([str(tmp_path / "site.toml")])[1]
    (tmp_path / "again.toml").write_text(as_toml(found))
    assert read([str(tmp_path / "again.toml")]) == [found]


def test_a_companion_that_fails_is_shown_with_what_comes_next() -> None:
    one = Service("worker", "failing", (), 0, failures_in_a_row=4, next_attempt=1e6, companion_of=("web",), stem="x")
    said = list(table.lines(Survey((one,), ()), 1e6, 200, False, lambda text, *_, **__: text))
    assert said[1].endswith("with web")
    assert said[2:] == ["worker: the last 4 wakes failed; it is started again while a service that it accompanies is awake"]


def test_a_stack_has_no_companions(tmp_path: Path) -> None:
    text = WEB + worker('companion_of = ["shop"]') + '[stack.shop]\nversion = "1"\nmembers = ["web"]\n'
    assert faults(tmp_path, text) == ['container.worker.companion_of: "shop" is a stack; name the members that are to be woken']


@pytest.mark.parametrize("format_name", ["deb", "rpm"])
def test_its_package_has_one_unit_and_names_itself_to_its_services(tmp_path: Path, format_name: str) -> None:
    (tmp_path / "site.toml").write_text(WEB + worker('companion_of = ["web", "api"]\nbefore = ["api"]'))
    package = package_of.package(Resolved(read([str(tmp_path / "site.toml")])[1]), FORMATS[format_name], 0)
    files = {entry.path: entry.data.decode() for entry in package.entries if entry.data and entry.path.endswith((
        ".service", ".socket", "/worker"))}
    assert {path for path in files if path.startswith(f"{layout.UNITS}/")} == {
        f"{layout.UNITS}/ondemand-worker-container.service"}
    assert files["/usr/libexec/ondemand/web/worker"] == "companion\n"
    assert files["/usr/libexec/ondemand/api/worker"] == "companion before\n"
    assert not any(word in text for text in package.scripts.values() for word in (" enable ", " preset "))


class Other:
    """The `run` of a companion, asked by its control socket."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        directory.mkdir(exist_ok=True)
        monkeypatch.setattr(control, "CONTROL", str(directory / "control"))
        self.server = control.Server()

    def hears(self) -> None:
        for _ in range(3):  # it comes, it says that it holds, it goes
            for descriptor in self.server.descriptors():
                self.server.heard(descriptor) if is_readable(descriptor) else None

    def ends(self) -> None:
        self.server.close()


def is_readable(descriptor: int) -> bool:
    import select

    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(attending, "ATTENDANTS", str(tmp_path / "attendants"))
    monkeypatch.setattr(helper, "STATE", f"{tmp_path}/")
    monkeypatch.setattr(required, "STATE", f"{tmp_path}/")
    monkeypatch.setattr(required, "HELPERS", f"{tmp_path}/")
    monkeypatch.setattr(helper, "start", found.append)
    monkeypatch.setattr(required, "wake", found.append)
    (tmp_path / "attendants/x").mkdir(parents=True)
    (tmp_path / "attendants/x/worker").write_text("companion\n")
    return found


def test_a_service_starts_its_companion_holds_it_and_starts_it_again(
    tmp_path: Path, started: list[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(helper, "LEAST_BACK_OFF", 0.2)
    found = helper.Companions("x")
    found.hold()
    assert started == [], "what can wait comes after the start"
    assert (found.see_to() or 0) > 0 and started == ["worker"]
    other = Other(tmp_path / "worker", monkeypatch)
    time.sleep(0.06)
    assert found.see_to() is None and len(found.descriptors()) == 1
    other.hears()
    assert len(other.server.holders) == 1
    other.ends()
    while found.descriptors():
        found.hear(found.descriptors()[0])
    assert 100 < (found.see_to() or 0) <= 201 and started == ["worker"], "not at once"
    time.sleep(0.21)
    found.see_to()
    assert started == ["worker", "worker"]


def test_one_that_fails_again_and_again_is_left_alone_for_longer_and_longer(tmp_path: Path, started: list[str]) -> None:
    (tmp_path / "worker").mkdir()
    pauses = []
    for failures in (0, 1, 5, 6, 12, 10000):
        (tmp_path / "worker/end").write_text(f"{failures} 1.0\n")
        pauses.append(helper.back_off("worker"))
    assert pauses == [1.0, 1.0, 1.6, 3.2, 30.0, 30.0]


def test_one_whose_package_is_removed_is_forgotten(tmp_path: Path, started: list[str]) -> None:
    found = helper.Companions("x")
    found.hold()
    (tmp_path / "attendants/x/worker").unlink()
    assert found.see_to() is None and started == []


def test_one_that_must_be_ready_first_and_cannot_be_started_fails_the_wake(tmp_path: Path, started: list[str],
                                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(required, "PATIENCE", 0.05)
    (tmp_path / "worker").mkdir()
    (tmp_path / "attendants/x/worker").write_text("companion before\n")
    with pytest.raises(Failure, match="the companion 'worker' could not be started; see 'journalctl -u ondemand-worker-cont"):
        helper.Companions("x").hold()


def test_what_it_lets_go_is_no_longer_held(tmp_path: Path, started: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    other = Other(tmp_path / "worker", monkeypatch)
    found = helper.Companions("x")
    found.hold()
    found.see_to()
    other.hears()
    assert other.server.holders
    found.release()
    other.hears()
    assert not other.server.holders and found.see_to() is None
    other.ends()


def test_what_is_no_companion_file_is_passed_over(tmp_path: Path, started: list[str]) -> None:
    (tmp_path / "attendants/x/worker.dpkg-new").write_text("companion\n")
    (tmp_path / "attendants/x/empty").write_text("")
    assert attending.attendants("x") == {"worker": ["companion"]} and attending.attendants("y") == {}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    found = Host(FakeDocker(tmp_path), tmp_path, monkeypatch)
    with contextlib.closing(found):
        yield found


def test_a_companion_ends_once_nobody_holds_it(host: Host) -> None:
    def script(client: Any) -> None:
        client.tell("hold")
        until(client, "ready")
        watching = host.client()
        time.sleep(0.2)
        client.close()
        until(watching, "stopping")
        host.engine.exits(0)

    with contextlib.suppress(OSError):
        assert host.run(script, "--companion", "--started") == 0
    assert outcome.last_end()[0] == 0


def test_a_companion_that_nobody_comes_to_hold_ends(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    import run

    monkeypatch.setattr(run, "LONELY", 0.2)

    def script(client: Any) -> None:
        until(client, "stopping")
        host.engine.exits(0)

    assert host.run(script, "--companion", "--started") == 0


@pytest.mark.parametrize("status", [0, 1, 143])
def test_a_companion_that_ends_by_itself_soon_is_a_failure_whatever_its_status(host: Host, status: int) -> None:
    def script(client: Any) -> None:
        client.tell("hold")
        until(client, "ready")
        host.engine.exits(status)

    host.run(script, "--companion", "--started")
    assert outcome.last_end()[0] == 1
    assert "ONDEMAND_TOTAL_MS" in host.recorded()
    assert f"exited with status {status} soon after it was ready" in host.recorded()["ONDEMAND_REASON"]
