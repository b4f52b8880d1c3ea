"""What hosts that read the site's repository over HTTP may rely on."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from requirements import need
from signing import Signer, signer

from .conftest import NGINX, built
from .machine import DNF, Machine, stub
from .test_images import ONE, import_image

URL = "http://127.0.0.1:8080/"
ROOT = "/srv/packages"
SERVER = f"server {{ listen 127.0.0.1:8080; root {ROOT}; }}\n"
APT = ("apt-get", "-y", "-o", "APT::Update::Error-Mode=any")


class Site:
    """A repository that a host serves on its own loopback."""

    def __init__(self, machine: Machine, signer: Signer, directory: Path) -> None:
        self.machine = machine
        self.signer = signer
        self.directory = directory
        self.root = machine.path(ROOT)

    def packages(self, version: str) -> list[Path]:
        directory = self.directory / version
        directory.mkdir(exist_ok=True)
        return list(built(directory, NGINX.replace("1.27.0", version)).values())

    def publish(self, version: str) -> None:
        self.signer.publish(self.root, *self.packages(version))

    @contextmanager
    def changed(self, pattern: str, old: bytes, new: bytes) -> Iterator[None]:
        """Serve files with other bytes, as somebody between would, until the block ends."""
        paths = sorted({path.resolve() for path in self.root.glob(pattern)})
        assert paths, pattern
        before = {path: path.read_bytes() for path in paths}
        assert any(old in data for data in before.values()), pattern
        try:
            for path, data in before.items():
                path.unlink()  # a file has other names in other generations
                path.write_bytes(data.replace(old, new, 1))
            yield
        finally:
            for path, data in before.items():
                path.write_bytes(data)


@pytest.fixture(scope="module")
def site(host: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    need("gpg")
    with signer() as one:
        found = Site(host, one, tmp_path_factory.mktemp("packages"))
        host.sh("rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/nginx/sites-enabled/* /etc/yum.repos.d/*")
        host.write("/etc/nginx/conf.d/packages.conf", SERVER)
        found.publish("1.27.0")
        one.run("repo", "keyring", "--repo", found.root, "--url", URL)
        host.run("systemctl", "start", "nginx")
        yield found


def refused(machine: Machine, *argv: str) -> str:
    """Run what must fail; return what it said."""
    done = machine.run(*argv, check=False, timeout=300)
    assert done.returncode != 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def forget_lists(machine: Machine) -> None:
    """Take away what apt has read; it would go on with half-read files, whose time and size are those of the good ones."""
    machine.sh("rm -rf /var/lib/apt/lists/*")


def test_a_host_joins_with_one_package_and_installs_a_service_by_its_name(site: Site) -> None:
    site.machine.sh(f"cd /root && curl -fsSO {URL}ondemand-archive-keyring.deb")
    site.machine.run("apt-get", "-y", "install", "/root/ondemand-archive-keyring.deb")
    site.machine.run(*APT, "update")
    site.machine.run("apt-get", "-y", "install", "ondemand-nginx")
    assert site.machine.get() == "200"


def test_apt_upgrades_to_what_is_published_next(site: Site) -> None:
    site.publish("1.27.1")
    site.machine.run(*APT, "update")
    site.machine.run("apt-get", "-y", "upgrade")
    assert site.machine.sh("dpkg-query -W -f '${Version}' ondemand-nginx") == "1.27.1-1"
    assert site.machine.get() == "200"


@pytest.mark.parametrize(("pattern", "old", "new"), [
    ("dists/stable/InRelease", b"Suite: stable", b"Suite: Stable"),
    ("dists/stable/InRelease", b"SHA256:\n ", b"SHA256:\n f"),
    ("dists/stable/main/binary-*/by-hash/SHA256/*", b"\xfd7zXZ\0", b"\xfd7zXz\0"),
], ids=["the head of the index", "a digest of the index", "the list of packages"])
def test_apt_refuses_an_index_that_was_tampered_with(site: Site, pattern: str, old: bytes, new: bytes) -> None:
    forget_lists(site.machine)
    # Debian 12's apt falls back to the detached signature; nobody between would leave that alone.
    with site.changed("dists/stable/Release", b"Suite: stable", b"Suite: Stable"), site.changed(pattern, old, new):
        refused(site.machine, *APT, "update")
    forget_lists(site.machine)
    site.machine.run(*APT, "update")


def test_apt_refuses_an_index_signed_by_another_key(site: Site) -> None:
    forget_lists(site.machine)
    with signer() as other, ExitStack() as stack:
        other.publish(site.directory / "other", *site.packages("1.27.1"))
        for name in ("InRelease", "Release", "Release.gpg"):
            theirs = (site.directory / "other/dists/stable" / name).read_bytes()
            stack.enter_context(site.changed(f"dists/stable/{name}", (site.root / "dists/stable" / name).read_bytes(), theirs))
        assert "is not signed" in refused(site.machine, *APT, "update")
    forget_lists(site.machine)
    site.machine.run(*APT, "update")


def test_apt_refuses_a_package_that_was_tampered_with(site: Site) -> None:
    site.publish("1.27.2")
    site.machine.run(*APT, "update")
    with site.changed("pool/o/ondemand-nginx/*1.27.2*.deb", b"debian-binary", b"debian-bynary"):
        refused(site.machine, *APT, "install", "ondemand-nginx=1.27.2-1")
    assert site.machine.sh("dpkg-query -W -f '${Version}' ondemand-nginx") == "1.27.1-1"


def bundled(site: Site, version: str) -> None:
    """Publish a package that carries its image."""
    directory = site.directory / f"bundled-{version}"
    directory.mkdir()
    declaration = f'[container.carried]\nimage = "{ONE}"\nversion = "{version}"\nports = ["8001:80"]\nbundle = true\n'
    site.signer.publish(site.root, *built(directory, declaration).values())


def carried_image(machine: Machine) -> str:
    return str(machine.inspect("ondemand-carried")["Config"]["Image"])


def test_apt_installs_a_package_that_carries_its_image(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix:///proc/{site.machine.leader}/root/run/docker.sock")
    need("busybox")
    import_image(site.machine, ONE)
    bundled(site, "1")
    site.machine.run(*APT, "update")
    site.machine.run("apt-get", "-y", "install", "ondemand-carried", timeout=300)
    assert carried_image(site.machine).startswith("ondemand/one:") and site.machine.get("http://127.0.0.1:8001/") == "200"
    site.machine.run("apt-get", "-y", "purge", "ondemand-carried")


def test_a_host_joins_with_dnf_and_checks_repository_and_packages(site: Site) -> None:
    site.machine.run("apt-get", "-y", "purge", "ondemand-nginx", "ondemand-archive-keyring")
    site.machine.run(*DNF, "install", *site.machine.copy_in(stub()))
    site.machine.run("dnf", "-y", "install", f"{URL}ondemand-archive-keyring.rpm")
    assert "gpgcheck=1\nrepo_gpgcheck=1\n" in site.machine.sh("cat /etc/yum.repos.d/ondemand.repo")
    site.machine.run("dnf", "-y", "install", "ondemand-nginx-1.27.1")
    assert site.machine.get() == "200"
    site.machine.run("dnf", "-y", "--refresh", "upgrade")
    assert site.machine.sh("rpm -q ondemand-nginx") == "ondemand-nginx-1.27.2-1.noarch\n"


def test_dnf_installs_a_package_that_carries_its_image(site: Site) -> None:
    site.machine.run("dnf", "-y", "--refresh", "install", "ondemand-carried", timeout=300)
    assert carried_image(site.machine).startswith("ondemand/one:") and site.machine.get("http://127.0.0.1:8001/") == "200"
    site.machine.run("dnf", "-y", "remove", "ondemand-carried")


@pytest.mark.parametrize(("pattern", "old", "new"), [
    ("rpm/stable*/repodata/repomd.xml", b"<revision>", b"<revision> "),
    ("rpm/stable*/repodata/repomd.xml.asc", b"\n\ni", b"\n\nj"),
    ("rpm/stable*/repodata/*-primary.xml.gz", b"\x1f\x8b\x08\x00\x00", b"\x1f\x8b\x08\x00\x01"),
], ids=["the index", "its signature", "the list of packages"])
def test_dnf_refuses_a_repository_that_was_tampered_with(site: Site, pattern: str, old: bytes, new: bytes) -> None:
    with site.changed(pattern, old, new):
        site.machine.run("dnf", "clean", "all")  # Debian's dnf goes on without a repository that fails, unless told
        refused(site.machine, "dnf", "-y", "--setopt=*.skip_if_unavailable=0", "makecache")
    site.machine.run("dnf", "-y", "makecache")


def test_dnf_refuses_a_package_that_was_tampered_with(site: Site) -> None:
    site.publish("1.27.3")
    site.machine.run("dnf", "-y", "--refresh", "makecache")
    with site.changed("pool/o/ondemand-nginx/*1.27.3*.rpm", b"1.27.3", b"1.27.4"):
        refused(site.machine, "dnf", "-y", "upgrade", "ondemand-nginx")
    assert "1.27.2-1" in site.machine.sh("rpm -q ondemand-nginx")


def test_hosts_follow_to_a_new_key_while_both_sign_and_after(site: Site) -> None:
    site.signer.run("repo", "key", "rotate", "--repo", site.root)
    site.machine.run("dnf", "-y", "--refresh", "upgrade")  # the keyring package's next version among it
    site.signer.run("repo", "key", "rotate", "--finish", "--repo", site.root)
    site.signer.run("publish", "--repo", site.root, *site.packages("1.27.5"))
    site.machine.run("dnf", "-y", "--refresh", "upgrade")
    assert "1.27.5-1" in site.machine.sh("rpm -q ondemand-nginx")
    site.machine.run("dnf", "-y", "remove", "ondemand-nginx", "ondemand-archive-keyring")


def lose_keys(signer: Signer) -> None:
    """Delete every secret key."""
    listed = subprocess.run(["gpg", "--list-secret-keys", "--with-colons"], env=signer.environ, check=True, capture_output=True,
                            text=True).stdout
    for key in re.findall(r"^fpr:+([0-9A-F]{40}):", listed, re.MULTILINE):
        subprocess.run(["gpg", "--batch", "--yes", "--delete-secret-keys", key], env=signer.environ, check=True)


def test_hosts_that_join_anew_go_on_after_the_key_was_lost(site: Site) -> None:
    deb = f"cd /root && curl -fsSO {URL}ondemand-archive-keyring.deb && apt-get -y install ./ondemand-archive-keyring.deb"
    site.machine.sh(deb)
    site.machine.run(*APT, "update")
    site.machine.run("dnf", "-y", "install", f"{URL}ondemand-archive-keyring.rpm")
    site.machine.run("dnf", "-y", "install", "ondemand-nginx")
    lose_keys(site.signer)
    new = site.signer.run("repo", "key", "new", "Site packages <new@example.com>").stdout.strip()
    site.signer.run("repo", "key", "rotate", "--repo", site.root, "--lost", "--key", new)
    site.signer.run("publish", "--repo", site.root, *site.packages("1.27.6"))
    refused(site.machine, *APT, "update")
    site.machine.sh(deb)
    site.machine.run(*APT, "update")
    assert "1.27.6-1" in site.machine.run("apt-cache", "policy", "ondemand-nginx").stdout
    site.machine.run("dnf", "-y", "install", f"{URL}ondemand-archive-keyring.rpm")
    site.machine.run("dnf", "-y", "--refresh", "upgrade")
    assert "1.27.6-1" in site.machine.sh("rpm -q ondemand-nginx")
    site.signer.run("repo", "verify", "--repo", site.root)
    site.machine.run("dnf", "-y", "remove", "ondemand-nginx", "ondemand-archive-keyring")
    site.machine.run("apt-get", "-y", "purge", "ondemand-archive-keyring")


# Runs on the host until the file `stop` is there: reads everything anew each time; prints how often, and what failed.
_REFRESH = """
rm -f /root/stop-$1; count=0
while [ ! -e /root/stop-$1 ]; do
    count=$((count + 1))
    case $1 in
        apt) rm -rf /var/lib/apt/lists/*; apt-get -q -o APT::Update::Error-Mode=any update ;;
        dnf) rm -rf /var/cache/dnf/*; dnf -q -y --setopt='*.skip_if_unavailable=0' makecache ;;
    esac > /root/said-$1 2>&1 || { echo "failed:"; cat /root/said-$1; }
done
echo "refreshed $count"
"""


def test_no_refresh_fails_while_packages_are_published_and_publishers_killed(site: Site) -> None:
    if "trixie" not in site.machine.sh("cat /etc/os-release"):
        pytest.skip("one suite is enough: the other one's clients are in the tests before")
    site.machine.write("/etc/apt/sources.list.d/ondemand.sources",
                       f"Types: deb\nURIs: {URL}\nSuites: stable\nComponents: main\nSigned-By: /usr/share/keyrings/site.gpg\n")
    site.machine.write("/etc/yum.repos.d/ondemand.repo", f"[ondemand]\nname=x\nmirrorlist={URL}rpm/stable/mirrorlist\n"
                                                         f"gpgcheck=1\nrepo_gpgcheck=1\ngpgkey={URL}ondemand-archive-keyring.asc\n")
    site.machine.sh(f"curl -fsSo /usr/share/keyrings/site.gpg {URL}ondemand-archive-keyring.gpg")
    clients = [site.machine.start("sh", "-c", _REFRESH, "sh", kind) for kind in ("apt", "dnf")]
    chance, killed = random.Random(1), 0
    for number in range(50):
        process = site.signer.start("publish", "--repo", site.root, *site.packages(f"2.{number}"))
        try:
            process.communicate(timeout=chance.uniform(0.2, 1) if number % 3 == 2 else 120)
            assert process.returncode == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            killed += 1
    site.machine.sh("touch /root/stop-apt /root/stop-dnf")
    said = [client.communicate(timeout=120)[0] for client in clients]
    assert all(re.fullmatch(r"refreshed [0-9]+\n", text) for text in said), said
    assert killed > 0 and all(int(text.split()[1]) > 5 for text in said), (killed, said)
    site.signer.run("publish", "--repo", site.root, *site.packages("3.0"))
    site.signer.run("repo", "verify", "--repo", site.root)
