"""Options of `docker run` and `podman run` that a declaration does not have.

Knows which of them mean nothing to a container that systemd starts, and what to do instead of each other one; hides nothing.
"""

from __future__ import annotations

from ondemand_pkg.importing.compose_service import INSTEAD

# Of no importance to a container that systemd starts.
SILENT = {
    "--detach", "--name", "--replace", "--attach", "--sig-proxy", "--detach-keys", "--cidfile", "--pidfile", "--conmon-pidfile",
    "--quiet", "--disable-content-trust", "--no-healthcheck=false", "--cgroups=split", "--sdnotify=conmon", "--pod-id-file",
}
_ADDRESS = "the relay finds the container's address by itself"
_LOGIN = "'docker login' on each host"
_USERS = "user namespaces are a setting of the engine ('userns-remap' in daemon.json)"
NOTES = {
    "--rm": "the package keeps its container, stopped", "--restart": INSTEAD["restart"], "--pull": INSTEAD["pull_policy"],
    "--rmi": "the package keeps its image", "--retry": INSTEAD["pull_policy"], "--retry-delay": INSTEAD["pull_policy"],
    "--label-file": INSTEAD["label_file"], "--volumes-from": INSTEAD["volumes_from"], "--link": INSTEAD["external_links"],
    "--link-local-ip": _ADDRESS, "--ip": _ADDRESS, "--ip6": _ADDRESS,
    "--publish-all": "write each port that the image exposes into ports",
    "--network-alias": 'others reach it through the host: write "--add-host={value}:host-gateway" into create_args of theirs',
    "--env-host": "write what is needed into env", "--http-proxy": "write the variables of the proxy into env",
    "--authfile": _LOGIN, "--creds": _LOGIN, "--tls-verify": "a setting of each host's engine",
    "--cgroups": "the engine chooses the control group; leave it out",
    "--health-on-failure": "the check is repeated at a wake until it succeeds, and not afterwards",
    "--uidmap": _USERS, "--gidmap": _USERS, "--subuidname": _USERS, "--subgidname": _USERS,
    "--rootfs": "a declaration needs an image: 'docker import' makes one of a directory",
    "--systemd": 'nothing is prepared for a systemd in the container; write tmpfs = ["/run", "/tmp"] where it needs them',
    "--umask": "set it in the container's entry point", "--timeout": "the container runs as long as clients need it",
}
# What everybody expects.
ROUTINE = {"--rm", "--restart", "--pull", "--rmi", "--retry", "--retry-delay", "--health-on-failure", "--cgroups"}
# Values by which an option of one engine means what the other does not know, each with what to do; "" where it is the default.
ONLY_THERE: dict[str, tuple[str, str]] = {
    "--cgroupns": (r"(?!host$|private$)", "allowed in create_args: --cgroupns=host or --cgroupns=private"),
    "--ulimit": (r"host$", "it means the limits of the host's user; write those that are needed, such as "
                           '"--ulimit=nofile=1024:2048"'),
    "--dns": (r"none$", "mount a resolv.conf of your own on /etc/resolv.conf with a volume"),
    "--log-driver": (r"(passthrough|passthrough-tty|k8s-file)$", "the container's output goes to the journal of its unit"),
    "--userns": (r"(?!host$)", f"{_USERS}; change the owner of what is mounted to the user of the container, or set user"),
    "--group-add": (r"keep-groups$", "write the number of each group that is needed"),
    "--security-opt": (r"(mask|unmask|proc-opts)[=:]|label[=:](nested|filetype)",
                       'write "--security-opt=systempaths=unconfined" or "--security-opt=label=disable" into create_args'),
    "--pid": (r"(private$|ns:)", ""), "--ipc": (r"ns:", ""), "--uts": (r"(private$|ns:)", ""),
}
