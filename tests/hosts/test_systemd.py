"""What administrators may rely on where systemd itself runs the image of a container, without an engine."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from requirements import need

from ondemand_pkg.building import packing
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.formats import DEB

from .conftest import TOOLS
from .machine import Machine, fresh
from .managers import Manager

IMAGE = "static:1"  # one program, linked statically, and a page
CHANGES = ["--change", 'ENTRYPOINT ["/busybox","httpd","-f","-p","80","-h","/www"]', "--change", "ENV PAGE=two\\ words"]
URL, UNIT, HOME = "http://127.0.0.1:8001/", "ondemand-image@web.service", "/var/lib/ondemand/systemd"
KEYS = 'engine = "systemd"\nbundle = true\noutbound = false\n'
# Says what a process inside can see and do, then serves; the same for Docker and for systemd.
PROBE = """
b=/busybox
echo "probe bounding $($b sed -n 's/^CapBnd:.0*//p' /proc/self/status)"
echo "probe seccomp $($b sed -n 's/^Seccomp:.//p' /proc/self/status)"
echo "probe processes $($b ls /proc | $b grep -c '^[0-9]')"
echo "probe interfaces $($b sed -n 's/^ *\\(.*\\):.*/\\1/p' /proc/net/dev | $b tr '\\n' ' ')"
$b mkdir -p /mnt
for try in 'mount -t tmpfs x /mnt' 'unshare -m true' 'unshare -U true' 'mknod /null c 1 3' 'hostname x' 'dmesg' \\
    'chroot / /busybox true'; do
    if $b $try >/dev/null 2>&1; then echo "probe can $try"; else echo "probe can't $try"; fi
done
for file in /proc/sys/kernel/domainname /proc/sysrq-trigger /sys/fs/cgroup/cgroup.procs; do
    if (echo 0 > $file) 2>/dev/null; then echo "probe writes $file"; else echo "probe doesn't write $file"; fi
done
for file in /proc/kcore /proc/keys /proc/timer_list /proc/interrupts; do
    echo "probe reads $($b head -c 64 $file 2>/dev/null | $b wc -c) bytes of $file"
done
echo "probe devices $($b find /dev -type b -o -type c | $b sort | $b tr '\\n' ' ')"
exec $b httpd -f -p 80 -h /www
"""


@pytest.fixture(scope="module")
def manager() -> Iterator[Manager]:
    need(*TOOLS, "busybox", root=True)
    with fresh("trixie") as machine:
        path = machine.directory / "root/image.tar"
        with tarfile.open(path, "w") as archive:
            archive.add("/bin/busybox", "busybox")
            page = tarfile.TarInfo("www/index.html")
            page.size = 2
            archive.addfile(page, io.BytesIO(b"ok"))
        machine.run("docker", "import", *CHANGES, "/root/image.tar", IMAGE)
        yield Manager(machine, "deb")


@pytest.fixture
def build(manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Builder]:
    monkeypatch.setenv("DOCKER_HOST", f"unix:///proc/{manager.machine.leader}/root/run/docker.sock")
    yield Builder(tmp_path)
    if manager.version("ondemand-web"):
        manager.purge("ondemand-web")
    manager.machine.sh("rm -rf /etc/ondemand; docker rm --force probe", check=False)


class Builder:
    """Builds packages of one service."""

    def __init__(self, directory: Path, image: str = IMAGE) -> None:
        self.directory, self.image = directory, image

    def __call__(self, more: str = "", version: str = "1", keys: str = KEYS, image: str = "",
                 ports: str = 'ports = ["8001:80"]\n') -> Path:
        text = (f'[container.web]\nimage = "{image or self.image}"\nversion = "{version}"\n{ports}stop_timeout = "2s"\n'
                f"{keys}{more}\n")
        (self.directory / "web.toml").write_text(text)
        path, = packing.write(packing.tasks(read([str(self.directory / "web.toml")]), [DEB], {}), self.directory / "dist")
        return path


def asleep(machine: Machine) -> None:
    machine.sh("while systemctl is-active --quiet ondemand-web-container.service ondemand-web.service; do sleep 0.1; done; "
               "until [ \"$(systemctl is-active ondemand-web-container.service)\" = inactive ]; do sleep 0.1; done", timeout=60)


def processes(machine: Machine) -> str:
    return machine.sh("pgrep -x busybox; true")


def test_a_connection_starts_the_image_and_idle_stops_it_without_an_engine(manager: Manager, build: Builder) -> None:
    machine = manager.machine
    manager.install(build('idle = "1s"\nready = { http = "/" }'))
    machine.sh("systemctl stop docker.socket docker.service")
    try:
        for _ in range(3):
            assert machine.get(URL) == "200"
            assert machine.sh(f"systemctl is-active {UNIT}") == "active\n"
            asleep(machine)
            assert processes(machine) == ""
            assert machine.sh(f"systemctl is-active {UNIT}; true") == "inactive\n"
        assert machine.clients(50, ("127.0.0.1", 8001)) == ["HTTP/1.1 200 OK"] * 50
    finally:
        machine.sh("systemctl start docker.socket docker.service")


def of_packages(machine: Machine) -> list[str]:
    return [trace for trace in machine.traces() if "ondemand" in trace]


def test_a_reboot_and_a_broken_off_installation_do_no_harm_and_a_removal_leaves_nothing(
    manager: Manager, build: Builder,
) -> None:
    machine = manager.machine
    before = of_packages(machine)
    manager.install(build())
    assert machine.get(URL) == "200"
    machine.sh(f"systemctl stop ondemand-web-container; mkdir {HOME}/ondemand-web.next@new {HOME}/ondemand-web@gone")
    machine.reboot()
    assert machine.get(URL) == "200"
    manager.purge("ondemand-web")
    assert processes(machine) == "" and of_packages(machine) == before
    assert machine.sh("ls /run/netns; ls /run/systemd/system", check=False).split() == []


def test_an_upgrade_while_awake_brings_the_new_image_and_a_downgrade_the_old_one(manager: Manager, build: Builder) -> None:
    machine = manager.machine
    first, second = build(), build('env = { NEW = "1" }', "2")
    manager.install(first)
    assert machine.get(URL) == "200"
    with machine.steady_clients(8001) as found:
        manager.install(second)
    assert set(found) == {"HTTP/1.1 200 OK"}
    assert "NEW=1" in machine.sh(f"tr '\\0' '\\n' < /proc/$(systemctl show -p MainPID --value {UNIT})/environ")
    manager.downgrade(first)
    assert machine.get(URL) == "200"
    assert "NEW=1" not in machine.sh(f"tr '\\0' '\\n' < /proc/$(systemctl show -p MainPID --value {UNIT})/environ")
    assert machine.sh(f"ls {HOME}").split() == ["ondemand-web", "ondemand-web.previous"]


def test_the_administrators_variables_come_with_the_next_wake_and_only_root_reads_them(
    manager: Manager, build: Builder,
) -> None:
    machine = manager.machine
    manager.install(build(f'entrypoint = ["/busybox", "sh", "-c", {PROBE_ENVIRONMENT!r}]'.replace("'", '"')))
    machine.write("/etc/ondemand/web.env", "SECRET=a \"b\" $c `d` \\e%f\n")
    assert machine.get(URL) == "200"
    said = machine.journal("ondemand-web-container.service")
    assert "SECRET=a \"b\" $c `d` \\e%f\n" in said and "PAGE=two words\n" in said
    assert "INVOCATION_ID=" not in said
    assert machine.sh(f"setpriv --reuid 65534 --clear-groups cat {HOME}/ondemand-web/environment 2>&1; true").endswith(
        "Permission denied\n")


PROBE_ENVIRONMENT = "/busybox env; exec /busybox httpd -f -p 80 -h /www > /dev/stdout"


def test_a_server_that_ends_at_once_is_a_failed_start_with_its_last_words(manager: Manager, build: Builder) -> None:
    machine = manager.machine
    manager.install(build('entrypoint = ["/busybox", "sh", "-c", "echo no luck; exit 3"]'))
    assert machine.clients(1, ("127.0.0.1", 8001)) != ["HTTP/1.1 200 OK"]
    said = machine.journal("ondemand-web-container.service")
    assert "no luck" in said and "3" in said
    manager.install(build("", "2"))
    machine.until_answered(URL)


def probed(text: str) -> list[str]:
    return [line.partition("probe ")[2] for line in text.splitlines() if "probe " in line]


def test_what_a_process_inside_can_do_is_no_more_than_under_docker(manager: Manager, build: Builder) -> None:
    machine = manager.machine
    machine.write("/root/probe", PROBE)
    script = PROBE.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    manager.install(build(f'entrypoint = ["/busybox", "sh", "-c", "{script}"]'))
    assert machine.get(URL) == "200"
    ours = probed(machine.journal("ondemand-web-container.service"))
    machine.sh('docker run --name probe -d --entrypoint /busybox ' + IMAGE + ' sh -c "$(cat /root/probe)"')
    machine.sh("until docker logs probe 2>&1 | grep -q 'probe devices'; do sleep 0.1; done")
    theirs = probed(machine.sh("docker logs probe 2>&1"))
    assert len(ours) == len(theirs) == 19, (ours, theirs)
    ours_by, theirs_by = ({line.partition(" ")[0]: line.partition(" ")[2] for line in one} for one in (ours, theirs))
    assert int(ours_by["bounding"], 16) & ~int(theirs_by["bounding"], 16) == 0
    assert ours_by["seccomp"] == theirs_by["seccomp"] == "2"
    assert int(ours_by["processes"]) <= int(theirs_by["processes"]) + 1 and ours_by["interfaces"].split() == ["lo"]
    assert set(ours_by["devices"].split()) - set(theirs_by["devices"].split()) <= {"/dev/pts/0"}, (ours_by, theirs_by)
    for mine, other in zip(ours, theirs, strict=True):
        if mine.startswith(("can ", "writes ")):
            assert mine == other
        if mine.startswith("reads "):
            assert int(mine.split()[1]) <= int(other.split()[1]), mine


def test_read_only_and_tmpfs_are_what_they_say(manager: Manager, build: Builder) -> None:
    machine = manager.machine
    script = ("(echo 1 > /x) 2>/dev/null || echo root is read-only; echo 2 > /tmp/y && echo tmp is writable; "
              "exec /busybox httpd -f -p 80 -h /www")
    manager.install(build(f'read_only = true\ntmpfs = ["/tmp"]\nentrypoint = ["/busybox", "sh", "-c", "{script}"]'))
    assert machine.get(URL) == "200"
    said = machine.journal("ondemand-web-container.service")
    assert "root is read-only" in said and "tmp is writable" in said


def test_a_paused_image_goes_on_with_the_next_client(manager: Manager, build: Builder) -> None:
    machine = manager.machine
    manager.install(build('idle = "1s"\nidle_action = "pause"'))
    assert machine.get(URL) == "200"
    process = machine.sh(f"systemctl show -p MainPID --value {UNIT}")
    machine.sh(f"until [ $(systemctl show -p FreezerState --value {UNIT}) = frozen ]; do sleep 0.1; done", timeout=60)
    assert machine.get(URL) == "200"
    assert machine.sh(f"systemctl show -p MainPID --value {UNIT}") == process


def test_nginx_of_debian_runs_unchanged(manager: Manager, build: Builder) -> None:
    machine = manager.machine
    manager.install(build('idle = "1s"', image="nginx:1.27"))
    assert machine.get(URL) == "200"
    asleep(machine)
    assert machine.get(URL) == "200"
