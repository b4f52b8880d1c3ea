"""What administrators may rely on where systemd itself runs servers that have data, and users of their own."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from requirements import need

from .conftest import TOOLS
from .machine import Machine, fresh
from .managers import Manager
from .test_systemd import HOME, UNIT, URL, Builder, asleep, of_packages

VOLUMES = "/var/lib/ondemand/volumes"
IMAGE = "owned:1"  # a program, a page with an owner in a place for a volume, and users that no host has
CHANGES = ["--change", 'ENTRYPOINT ["/busybox","httpd","-f","-p","80","-h","/www"]', "--change", "VOLUME /www",
           "--change", "USER web"]
WWW = 'volumes = ["www:/www"]\n'
# The server, and what it says of itself.
SAYS = ('entrypoint = ["/busybox", "sh", "-c", "/busybox id; echo home $HOME; /busybox grep Cap /proc/self/status; '
        'exec /busybox httpd -f -p 80 -h /www"]\n')
DB = """
user    = "postgres"
volumes = ["db-data:/var/lib/postgresql"]
command = ["sh", "-c", '''
echo 'host all all all trust' >/tmp/hba
exec /usr/lib/postgresql/15/bin/postgres -D /var/lib/postgresql/15/main -c config_file=/etc/postgresql/15/main/postgresql.conf \\
    -c hba_file=/tmp/hba -c listen_addresses='*' -c external_pid_file= -c unix_socket_directories=''']
ports   = ["5432:5432"]
ready   = { log = "ready to accept connections" }     # it listens before it lets anyone in
"""
CACHE = """
user    = "redis"
volumes = ["cache-data:/var/lib/redis"]
command = ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--dir", "/var/lib/redis"]
ports   = ["6379:6379"]
"""
# As a package brings its image packed, one without what no server needs is built in a tenth of the time.
SMALL = """
docker run --name small many:1 sh -c 'cd /usr; rm -rf lib/*-linux-gnu/libLLVM* lib/*-linux-gnu/libz3* lib/*-linux-gnu/perl* \\
    lib/python3* share/perl* share/doc share/locale share/man bin/wrk sbin/nginx /var/lib/apt /var/cache'
docker export small | docker import - servers:small
docker rm small
"""


@pytest.fixture(scope="module")
def manager() -> Iterator[Manager]:
    need(*TOOLS, "busybox", root=True)
    with fresh("trixie") as machine:
        path = machine.directory / "root/image.tar"
        with tarfile.open(path, "w") as archive:
            archive.add("/bin/busybox", "busybox")
            add(archive, "www", b"", tarfile.DIRTYPE, 0o750)
            add(archive, "www/index.html", b"ok", mode=0o640)
            add(archive, "etc/passwd", b"root:x:0:0::/root:/bin/sh\nweb:x:4711:4712::/home:/bin/sh\n", owner=0)
            add(archive, "etc/group", b"root:x:0:\nweb:x:4712:\nmore:x:4713:a,web\n", owner=0)
        machine.run("docker", "import", *CHANGES, "/root/image.tar", IMAGE)
        yield Manager(machine, "deb")


def add(archive: tarfile.TarFile, name: str, content: bytes, kind: bytes = tarfile.REGTYPE, mode: int = 0o644,
        owner: int = 4711) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.uid, member.gid, member.size = kind, mode, owner, owner and owner + 1, len(content)
    archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def build(manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Builder]:
    monkeypatch.setenv("DOCKER_HOST", f"unix:///proc/{manager.machine.leader}/root/run/docker.sock")
    yield Builder(tmp_path, IMAGE)
    if manager.version("ondemand-web"):
        manager.purge("ondemand-web")
    manager.machine.sh("docker ps -aq | xargs -r docker rm --force; docker volume ls -q | xargs -r docker volume rm --force; "
                       "rm -rf /etc/ondemand /var/lib/ondemand /srv/*", check=False)


def said(machine: Machine) -> str:
    return machine.journal("ondemand-web-container.service")


def test_a_new_volume_has_what_the_image_has_there_and_data_outlive_upgrade_and_removal(manager: Manager, build: Builder) -> None:
    machine = manager.machine
    before = of_packages(machine)
    manager.install(build(WWW + "purge_volumes = true"))
    assert machine.sh(f"stat -c '%a %u %g' {VOLUMES} {VOLUMES}/www {VOLUMES}/www/index.html").split("\n")[:3] == [
        "700 0 0", "750 4711 4712", "640 4711 4712"]
    assert machine.get(URL) == "200"
    machine.sh(f"echo mine > {VOLUMES}/www/index.html; echo more > {VOLUMES}/www/more; chown -R 4711 {VOLUMES}/www")
    assert machine.sh(f"curl -s {URL}") == "mine\n"
    manager.install(build(WWW + 'purge_volumes = true\nenv = { NEW = "1" }', "2"))
    assert machine.sh(f"curl -s {URL}") == "mine\n"
    manager.remove("ondemand-web")
    assert machine.sh(f"ls {VOLUMES}/www").split() == ["index.html", "more"]
    manager.install(build(WWW + "purge_volumes = true", "3"))
    assert machine.sh(f"curl -s {URL}more") == "more\n"
    manager.purge("ondemand-web")
    assert of_packages(machine) == before and not machine.sh("ls -A /var/lib/ondemand", check=False)


def test_directories_and_files_of_the_host_are_seen_inside_and_read_only_ones_are_not_written(
    manager: Manager, build: Builder,
) -> None:
    machine = manager.machine
    machine.write("/srv/conf", "set\n")
    script = "cat /etc/conf > /www/got; (echo x > /etc/conf) 2>/dev/null && echo no > /www/got; echo y > /www/y"
    manager.install(build(
        'read_only = true\nuser = "0"\nvolumes = ["/srv/new:/www", "/srv/conf:/etc/conf:ro"]\n'
        f'entrypoint = ["/busybox", "sh", "-c", "alias cat=\'/busybox cat\'; {script}; exec /busybox httpd -f -p 80 -h /www"]'))
    assert machine.sh(f"curl -s {URL}got") == "set\n" == machine.sh("cat /srv/conf")
    assert machine.sh("ls /srv/new").split() == ["got", "y"]


@pytest.mark.parametrize(("declared", "told"), [
    ("", "uid=4711(web) gid=4712(web) groups=4712(web),4713(more)"), ('user = "4711"', "uid=4711(web) gid=4712(web)"),
    ('user = "9:4713"', "uid=9 gid=4713(more)"), ('user = "web:root"', "uid=4711(web) gid=0(root)")])
def test_the_program_runs_as_the_images_user_or_the_declared_one(manager: Manager, build: Builder, declared: str,
                                                                 told: str) -> None:
    machine = manager.machine
    machine.sh(f"mkdir -p {VOLUMES}/www; echo ok > {VOLUMES}/www/index.html")
    manager.install(build(WWW + SAYS + declared))
    assert machine.get(URL) == "200"
    user = ["--user", declared.split('"')[1]] if declared else []
    theirs = machine.run("docker", "run", "--rm", *user, "--entrypoint", "/busybox", IMAGE, "sh", "-c",
                         "/busybox id; echo home $HOME; /busybox grep Cap /proc/self/status").stdout
    assert told in theirs
    ours = [line for line in said(machine).splitlines() if line.startswith(("uid=", "home ", "Cap"))]
    of_docker = [line.replace("00a80425fb", "00a00425fb") for line in theirs.splitlines()]  # ours have no MKNOD
    assert ours[-len(of_docker):] == of_docker


def test_a_user_gets_no_more_rights_than_are_declared(manager: Manager, build: Builder) -> None:
    machine = manager.machine
    manager.install(build(WWW + SAYS + 'cap_drop = ["ALL"]\ncap_add = ["NET_BIND_SERVICE"]'))
    assert machine.get(URL) == "200"
    assert [line.split()[1] for line in said(machine).splitlines() if line.startswith("CapBnd")][-1] == "0000000000000400"


def test_data_of_docker_are_not_left_for_an_empty_volume(manager: Manager, build: Builder) -> None:
    machine = manager.machine
    machine.sh(f"docker run --rm --user 0 -v www:/www --entrypoint /busybox {IMAGE} sh -c 'echo old > /www/index.html'")
    assert "to move them, run: " in (told := manager.install(build(WWW)))
    assert "200" not in machine.clients(1, ("127.0.0.1", 8001))[0]
    assert not machine.sh(f"ls -A {HOME}", check=False) and not machine.sh(f"ls -A {VOLUMES}", check=False)
    machine.sh(told.partition("to move them, run: ")[2].partition("; the next connection")[0])
    machine.until_answered(URL)
    assert machine.sh(f"curl -s {URL}") == "old\n"


def test_postgresql_and_redis_run_unchanged_and_keep_their_data(manager: Manager, build: Builder) -> None:
    machine = manager.machine
    machine.import_image("many:1")
    machine.sh(SMALL)
    for keys in (DB, CACHE):
        manager.install(build(keys + 'idle = "1s"', image="servers:small", ports=""))
        client = ["docker", "run", "--rm", "--network=host", "many:1"]
        if keys == DB:
            query = [*client, "psql", "-h", "127.0.0.1", "-U", "postgres", "-At", "-c"]
            machine.run(*query, "create table t (n int); insert into t values (7)")
            asleep(machine)
            assert machine.run(*query, "select n from t").stdout == "7\n"
        else:
            machine.run(*client, "redis-cli", "set", "here", "yes")
            asleep(machine)
            assert machine.run(*client, "redis-cli", "get", "here").stdout == "yes\n"
        assert machine.sh(f"systemctl show -p NRestarts --value {UNIT}") == "0\n"
        manager.purge("ondemand-web")



def test_a_service_goes_from_docker_to_systemd_and_back_with_its_data(manager: Manager, build: Builder) -> None:
    machine = manager.machine
    manager.install(build(WWW, keys=""))
    assert machine.get(URL) == "200"
    machine.sh(f"echo mine > {VOLUMES}/www/index.html")
    assert "rm --force ondemand-web" in manager.install(build(WWW, "2"))
    assert machine.sh(f"curl -s {URL}") == "mine\n"
    assert machine.sh(f"systemctl is-active {UNIT}") == "active\n" and not machine.inspect("ondemand-web")["State"]["Running"]
    told = manager.install(build(WWW, "3", keys=""))
    assert machine.sh(f"curl -s {URL}") == "mine\n"
    assert machine.sh(f"systemctl is-active {UNIT}; true") != "active\n" and machine.inspect("ondemand-web")["State"]["Running"]
    machine.sh(told.partition("needed any more, run '")[2].partition("'")[0])
    assert not machine.sh(f"ls {HOME} /run/netns", check=False).replace(HOME + ":", "").replace("/run/netns:", "").split()
