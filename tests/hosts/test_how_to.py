"""The how-tos of the documentation, followed to the letter on fresh hosts."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from documentation import DOCS, Builder, Typed, headings, typed
from requirements import need
from signing import Signer, signer

from .conftest import TOOLS
from .machine import DNF, Machine, fresh, stub, unbooted
from .roots import cache

# What the official image of PostgreSQL does that the how-to relies on, around Debian's PostgreSQL.
_ENTRY = r"""#!/bin/sh
set -e
if [ "$1" = postgres ]; then
    if [ "$(id -u)" = 0 ]; then
        mkdir -p "$PGDATA" /run/postgresql
        chown -R postgres "$PGDATA" /run/postgresql
        chmod 700 "$PGDATA"
        exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
    fi
    if [ ! -s "$PGDATA/PG_VERSION" ]; then
        printf %s "${POSTGRES_PASSWORD:?}" >/tmp/password
        initdb --username=postgres --pwfile=/tmp/password --auth-local=trust --auth-host=scram-sha-256
        echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    fi
fi
exec "$@"
"""
_CHANGES = ['ENTRYPOINT ["docker-entrypoint.sh"]', 'CMD ["postgres", "-c", "listen_addresses=*"]', "EXPOSE 5432",
            "ENV PGDATA=/var/lib/postgresql/data PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin",
            "VOLUME /var/lib/postgresql/data", "STOPSIGNAL SIGINT"]
RESTART = "systemctl reset-failed docker.service docker.socket; systemctl restart docker"  # however often it was


def follow(steps: Iterable[Typed], builder: Builder, machine: Machine) -> None:
    """Type the commands; fail at the first one that does not print what the page says."""
    for step in steps:
        if step.on_host:
            shutil.copytree(builder.directory / "dist", machine.path("/root/dist"), dirs_exist_ok=True)
            printed = machine.sh(f"cd /root\n{step.command}\n")
        else:
            printed = builder.run(step.command)
        assert not step.prints or printed.splitlines() == list(step.prints), (step.command, printed)


def give_postgres(machine: Machine) -> None:
    """Give the engine the images of the how-to, under the names of the official ones."""
    machine.import_image("many:1")
    machine.path("/root/docker-entrypoint.sh").write_text(_ENTRY)
    machine.path("/root/docker-entrypoint.sh").chmod(0o755)
    machine.sh("docker create --name made many:1 true && docker cp /root/docker-entrypoint.sh made:/usr/local/bin/")
    for tag in ("17.5", "17.6"):
        options = [option for change in [*_CHANGES, f"LABEL version={tag}"] for option in ("--change", change)]
        machine.run("docker", "commit", *options, "made", f"postgres:{tag}", timeout=300)
    machine.sh("docker rm made")


def archives(*packages: str) -> list[Path]:
    """Return Debian packages that hosts do not have, and all that these need, fetched at the first call."""
    directory = cache() / f"archives-trixie-{'-'.join(packages)}"
    if not directory.exists():
        partial = directory.with_name(f"partial-{directory.name}")
        shutil.rmtree(partial, ignore_errors=True)
        with unbooted("trixie") as machine:
            shutil.copy("/etc/resolv.conf", machine.path("/etc/resolv.conf"))
            machine.chroot("apt-get", "update")
            machine.chroot("apt-get", "-y", "--no-install-recommends", "--download-only", "install", *packages)
            shutil.copytree(machine.path("/var/cache/apt/archives"), partial, ignore=shutil.ignore_patterns("lock", "partial"))
        partial.rename(directory)
    return sorted(directory.glob("*.deb"))


@contextmanager
def with_packages(*packages: str) -> Iterator[Machine]:
    """Yield a booted host that has more Debian packages."""
    found = archives(*packages)
    with unbooted("trixie") as machine:
        machine.chroot("apt-get", "-y", "install", *machine.copy_in(*found))
        machine.boot()
        yield machine


def container_asks(machine: Machine) -> str:
    """Let a container ask the service at the host's address; return the status, or that there was none."""
    ask = "import urllib.request; print(urllib.request.urlopen('http://host:8080/', timeout=3).status)"
    return machine.sh("docker run --rm --add-host=host:host-gateway --entrypoint=python3 servers:1 "
                      f'-c "{ask}" 2>/dev/null || echo no answer')


class Elsewhere(Builder):
    """A client on another machine, for what begins with `curl`, beside the machine that builds."""

    def __init__(self, directory: Path, machine: Machine) -> None:
        super().__init__(directory)
        self._machine = machine
        machine.sh("""ip netns add elsewhere && ip link add to-elsewhere type veth peer name eth0 netns elsewhere
            ip address add 10.9.0.1/24 dev to-elsewhere && ip link set to-elsewhere up
            ip -n elsewhere address add 10.9.0.2/24 dev eth0 && ip -n elsewhere link set eth0 up
            echo 10.9.0.1 web.example >>/etc/hosts""")

    def run(self, command: str) -> str:
        if not command.startswith("curl"):
            return super().run(command)
        return self._machine.run("ip", "netns", "exec", "elsewhere", "sh", "-c", command).stdout


@pytest.fixture
def new() -> Iterator[Machine]:
    """A host of one test."""
    need(*TOOLS, root=True)
    with fresh("trixie") as machine:
        yield machine


class Publisher(Builder):
    """The machine that builds, whose repository each host serves to itself as packages.example."""

    def __init__(self, directory: Path, signer: Signer, *machines: Machine) -> None:
        super().__init__(directory, signer.environ)
        self._machines = machines
        for machine in machines:
            machine.sh("rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/nginx/sites-enabled/* /etc/yum.repos.d/*")
            machine.write("/etc/nginx/conf.d/packages.conf", "server { listen 127.0.0.1:80; root /srv/packages; }\n")
            machine.sh("echo 127.0.0.1 packages.example >>/etc/hosts && systemctl start nginx")

    def run(self, command: str) -> str:
        printed = super().run(command)
        if (self.directory / "packages").exists():
            for machine in self._machines:
                shutil.rmtree(machine.path("/srv/packages"), ignore_errors=True)
                shutil.copytree(self.directory / "packages", machine.path("/srv/packages"), symlinks=True)
        return printed


def test_a_database_is_backed_up_restored_upgraded_and_taken_back(new: Machine, tmp_path: Path) -> None:
    page, builder = DOCS / "database.md", Builder(tmp_path)
    give_postgres(new)
    for heading in headings(page):
        if heading != "Move it to another host":
            follow(typed(page, heading), builder, new)
            continue
        with fresh("trixie") as other:
            give_postgres(other)
            for name in ("dist/ondemand-db_17.5-1_all.deb", "db-data.tar", "client.env"):
                shutil.copy(new.path(f"/root/{name}"), other.path("/root"))
            shutil.copy(new.path("/etc/ondemand/db.env"), other.path("/root"))
            follow(typed(page, heading), builder, other)


def test_secrets_stay_on_the_host(new: Machine, tmp_path: Path) -> None:
    follow(typed(DOCS / "secrets.md"), Builder(tmp_path), new)


def test_firewalls_of_the_host_apply(tmp_path: Path) -> None:
    need(*TOOLS, root=True)
    with with_packages("ufw", "nftables", "firewalld") as machine:
        machine.run("systemctl", "disable", "--now", "firewalld")
        machine.run("systemctl", "restart", "docker")
        follow(typed(DOCS / "firewall.md"), Elsewhere(tmp_path, machine), machine)
        # What the page says of containers that ask a socket of the host.
        machine.run("systemctl", "start", "firewalld")
        assert container_asks(machine) == "no answer\n"
        machine.sh(RESTART)
        assert container_asks(machine) == "200\n"
        machine.run("systemctl", "stop", "firewalld")
        machine.sh(RESTART)
        machine.run("ufw", "--force", "enable")
        assert container_asks(machine) == "no answer\n"
        machine.sh("ufw allow in on docker0 to any port 8080 proto tcp")
        assert container_asks(machine) == "200\n"


def test_reverse_proxies_wake_what_is_behind_them(tmp_path: Path) -> None:
    need(*TOOLS, root=True)
    with with_packages("caddy", "haproxy") as machine:
        machine.sh("systemctl disable --now caddy haproxy; rm -f /etc/nginx/sites-enabled/*")
        follow(typed(DOCS / "reverse-proxy.md"), Elsewhere(tmp_path, machine), machine)


def test_a_fleet_takes_what_is_published_by_itself(new: Machine, tmp_path: Path) -> None:
    need("gpg")
    page = DOCS / "fleet.md"
    with signer() as one, with_packages("unattended-upgrades") as debian:
        publisher = Publisher(tmp_path, one, new, debian)
        for heading in headings(page):
            if "Fedora" in heading:  # the host that tried it becomes one with dnf
                new.sh("apt-get -y purge ondemand-shop ondemand-archive-keyring && rm /etc/apt/sources.list.d/*")
                new.run(*DNF, "install", *new.copy_in(stub()))
                # Debian's dnf has the program as a module, without the command.
                new.write("/usr/bin/dnf-automatic", "#!/usr/bin/python3\nfrom dnf.automatic.main import main\nmain([])\n")
                new.run("chmod", "+x", "/usr/bin/dnf-automatic")
            follow(typed(page, heading), publisher, debian if "Debian" in heading else new)
