"""Programs that need more rights than a container's service has: systemd runs them beside it.

Knows which right Podman's command lacks in the sandbox of such a service, and that descriptors go on in what systemd runs; hides
systemd-run.  Where there is no sandbox (maintainer scripts, ExecStopPost=), the program is a child like any other.
"""

import os

from names import LOCK, UNITS

CAP_SYS_ADMIN = 21  # linux/capability.h: without it nothing can be mounted
RUN = ["systemd-run", "--quiet", "--collect", "--pipe", "--wait", "--property=DefaultDependencies=no",
       "--setenv=HOME={HOME}", "--setenv=PATH={PATH}"]
# What an administrator may have given the service for its pulls: registries, proxies, certificates.
KEPT = ("TMPDIR", "REGISTRY_AUTH_FILE", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
        "http_proxy", "https_proxy", "no_proxy", "all_proxy")
# The lock is its standard output here; there it is the shell's own descriptor, so that what the program prints is lost, not kept.
WITH_LOCK = ["sh", "-c", 'exec 3>&1 >/dev/null; exec "$@"', "sh"]
# A listening socket is its standard input here, and the first descriptor of a socket activation there (sd_listen_fds(3)).
WITH_LISTENER = ["sh", "-c", 'exec env LISTEN_FDS=1 LISTEN_PID=$$ "$@" 3<&0 </dev/null', "sh"]


def is_bounded() -> "bool":
    """Return whether this process and its children lack what it takes to make and start containers."""
    with open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(b"CapBnd:"):
                return not int(line.split()[1], 16) >> CAP_SYS_ADMIN & 1
    return False


def command(argv: "List[str]", environ: "Mapping[str, str]") -> "List[str]":
    """Return how a program is called that ends soon, at the latest with the service; its standard output is `held_lock()`."""
    if not is_bounded():
        return argv
    return call(environ) + ["--property=PartOf={}-container.service".format(UNITS), "--"] + WITH_LOCK + argv


def service(argv: "List[str]", environ: "Mapping[str, str]") -> "List[str]":
    """Return how a program is called that gets a listening socket as its standard input, and ends by itself."""
    return call(environ) + ["--"] + WITH_LISTENER + argv


def call(environ: "Mapping[str, str]") -> "List[str]":
    return [word.format(**environ) for word in RUN] + ["--setenv=" + name for name in KEPT if name in environ]


def held_lock() -> "Optional[int]":
    """Return the descriptor of the package's lock, which goes on in what systemd runs; None where the program is a child."""
    if not is_bounded():
        return None
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink("/proc/self/fd/" + name) == LOCK:
                return int(name)
        except OSError:
            pass  # that of the directory itself
    return None


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Mapping, Optional
