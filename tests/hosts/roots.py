"""Root file systems of test hosts.

Knows what a host holds before a test begins (Debian, an engine, images); hides that each is made once and cached
by its recipe.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

SUITES = ("bullseye", "bookworm", "trixie", "forky")
ENDS = (SUITES[0], SUITES[-1])  # what holds on the oldest and the newest is taken to hold between
SUITES_OF_BUILDERS = ("bookworm", "forky")  # ondemand-pkg itself needs Python 3.11
WITH_PODMAN = ("trixie+podman", "forky+podman")  # whose hosts have Podman and no Docker; Debian 12's starts no container here
_PACKAGES = ["systemd", "systemd-sysv", "dbus", "docker.io", "iproute2", "iptables", "curl", "ca-certificates", "procps",
             "python3", "netcat-openbsd", "dnf", "rpm", "docker-registry", "nginx-light", "gnupg"]
_PODMAN = ["podman", "crun", "conmon", "netavark", "aardvark-dns", "passt", "nftables", "catatonit"]  # what it recommends, too
# The control groups of these hosts have no controllers; the command is for the tests alone, no helper has it in its path.
_PODMAN_FILES = {
    "etc/containers/containers.conf": "[containers]\npids_limit = 0\n",
    "usr/local/lib/tests/docker": "#!/bin/sh\nexec podman \"$@\"\n",
}
_ASLEEP = ["docker-registry", "nginx"]  # services that only the tests start which need them
_MORE = {"bullseye": [], "bookworm": [], "trixie": ["docker-cli"], "forky": ["docker-cli", "createrepo-c"]}
_INSTEAD = {"forky": {"dnf": "dnf5"}}  # which runs createrepo_c
# Testing has no date until which its index is valid that mirrors keep to.
_OPTIONS = {"forky": ['--aptopt=Acquire::Check-Valid-Until "false"']}
SERVERS = Path(__file__).parent / "servers"

# Name of an image: the Debian packages in it, and the changes that `docker import` applies.
# Those of ON_EVERY_HOST are there when a host boots; a test that needs another one imports it (Machine.import_image).
IMAGES = {
    "nginx:1.27": (["nginx-light"], ['CMD ["nginx","-g","daemon off;"]', "EXPOSE 80"]),
    "servers:1": (["python3"], ['ENTRYPOINT ["python3","-u"]', 'CMD ["/servers/show.py"]', "EXPOSE 80"]),
    "redis:7": (["redis-server", "redis-tools"], ["EXPOSE 6379"]),
    # Servers and their own clients, each of which a test names as the command.
    "many:1": (["nginx-light", "wrk", "redis-server", "redis-tools", "postgresql", "memcached", "libmemcached-tools",
                "openssh-server", "openssh-client", "python3-websockets"], []),
    "datagrams:1": (["dnsmasq-base", "rsyslog", "chrony", "iperf3"], []),
    # The parts of whole applications.
    "applications:1": (["nginx-light", "gunicorn", "python3-flask", "python3-psycopg2", "python3-redis", "php-cli", "php-pgsql",
                        "postgresql", "redis-server", "redis-tools"], []),
}
ON_EVERY_HOST = ("nginx:1.27", "servers:1")


def cache() -> Path:
    """Return the directory of everything that is made once."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("ONDEMAND_PKG_TEST_CACHE") or Path(base) / "ondemand-pkg-tests")


def has_podman(suite: str) -> bool:
    """Return whether the hosts of a suite have Podman, and Docker otherwise."""
    return suite.endswith("+podman")


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f"{name}.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _bootstrap(suite: str, variant: str, packages: list[str], target: Path) -> None:
    names = [_INSTEAD.get(suite, {}).get(name, name) for name in packages]
    argv = ["mmdebstrap", "--quiet", *_OPTIONS.get(suite, []), f"--variant={variant}", f"--include={','.join(names)}", suite,
            str(target)]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"mmdebstrap failed: {done.stderr}")


def image(name: str) -> Path:
    """Return the tar of an image's file system, made from Debian packages at the first call."""
    packages, _ = IMAGES[name]
    servers = [(path.name, path.read_bytes()) for path in sorted(SERVERS.glob("*.py"))] if name == "servers:1" else []
    path = cache() / f"image-{name.replace(':', '-')}-{_digest(packages, servers)}.tar"
    with locked("image-" + name.replace(":", "-")):
        if not path.exists():
            partial = path.with_name("partial-" + path.name)
            partial.unlink(missing_ok=True)
            _bootstrap("bookworm", "essential", packages, partial)
            if servers:
                subprocess.run(["tar", "--append", "--owner=0", "--group=0", "--exclude=__pycache__", "-f", partial,
                                "-C", SERVERS.parent, "servers"], check=True)
            partial.rename(path)
    return path


def root(suite: str) -> Path:
    """Return a root file system with an engine and the images in it; nobody may write to it."""
    from .machine import boot_once

    images = [(name, IMAGES[name], image(name).name) for name in ON_EVERY_HOST]
    debian, packages, files = suite, _PACKAGES, {}
    if has_podman(suite):
        debian, files = suite.partition("+")[0], _PODMAN_FILES
        packages = [name for name in _PACKAGES if name != "docker.io"] + _PODMAN
    more = [name for name in _MORE[debian] if not has_podman(suite) or name != "docker-cli"]
    recipe = _digest(suite, packages, _ASLEEP, more, _INSTEAD.get(debian), images, *([files] if files else []))
    path = cache() / f"root-{suite}-{recipe}"
    with locked(f"root-{suite}"):
        if not path.exists():
            partial = path.with_name("partial-" + path.name)
            shutil.rmtree(partial, ignore_errors=True)
            _bootstrap(debian, "minbase", packages + more, partial)
            if not (partial / "usr/bin/dnf").exists():
                (partial / "usr/bin/dnf").symlink_to("dnf5")
            for name, text in files.items():
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
                (partial / name).write_text(text)
                (partial / name).chmod(0o755)
            subprocess.run(["systemctl", f"--root={partial}", "--quiet", "disable", *_ASLEEP], check=True)
            with boot_once(partial) as machine:
                for name in ON_EVERY_HOST:
                    machine.import_image(name)
                machine.power_off()
            for old in cache().glob(f"root-{suite}-*"):
                shutil.rmtree(old)
            partial.rename(path)
    return path


def tool(suite: str, package: str) -> Path:
    """Return a root file system that holds a Debian package beside what is essential; nobody may write to it."""
    path = cache() / f"tool-{suite}-{package}"
    with locked(path.name):
        if not path.exists():
            partial = path.with_name("partial-" + path.name)
            shutil.rmtree(partial, ignore_errors=True)
            _bootstrap(suite, "minbase", [package], partial)
            partial.rename(path)
    return path
