"""The unit by which systemd runs an unpacked image.

Knows which directives of systemd.exec(5), systemd.service(5) and systemd.resource-control(5) say what a container is declared to
be, and confine it as Docker does; hides how values are escaped.
"""

import os

from process import Failure

from engines import image_user
from engines.unpacking import inside

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STOP_SIGNAL = "SIGTERM"
# Docker's default set, less CAP_MKNOD: there are the devices that systemd gives, and no others.
CAPABILITIES = ("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "NET_RAW", "SETFCAP",
                "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT")
ALL = "ALL"
# What systemd adds to the environment of a service, and Docker does not.
OF_SYSTEMD = ("INVOCATION_ID", "JOURNAL_STREAM", "LANG", "LOGNAME", "MEMORY_PRESSURE_WATCH", "SHELL", "SYSTEMD_EXEC_PID", "USER")
TMPFS = "rw,nosuid,nodev,noexec,mode=1777"  # Docker's own options
FILES = 1048576  # that a process may open, as Docker has it
UNIT = """# Made by {package}; 'systemctl edit' adds to it.
[Unit]
Description={title}
StartLimitIntervalSec=0
CollectMode=inactive

[Service]
Type=exec
ExecStart={command}
RootDirectory={root}
MountAPIVFS=yes
BindPaths={root}/run:/run
WorkingDirectory={workdir}
EnvironmentFile={environment}
{lines}
Slice=system.slice
StandardOutput=file:{output}
StandardError=inherit
IgnoreSIGPIPE=no
# systemd 257 kills at once with KillMode=mixed what has processes of its own.
KillMode=control-group
KillSignal={signal}
TimeoutStartSec=30
TimeoutStopSec={stop_timeout}
OOMPolicy=continue
LimitNOFILE={files}
NetworkNamespacePath={network}
PrivatePIDs=yes
PrivateIPC=yes
PrivateDevices=yes
KeyringMode=private
BindLogSockets=no
LockPersonality=yes
ProtectControlGroups=strict
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelTunables=yes
RestrictNamespaces=yes
InaccessiblePaths=-+/proc/asound -+/proc/interrupts -+/proc/keys -+/proc/latency_stats -+/proc/sched_debug -+/proc/scsi
InaccessiblePaths=-+/proc/timer_list -+/proc/timer_stats -+/sys/firmware -+/sys/devices/virtual/powercap
# They would be those of the host.
InaccessiblePaths=-+/sys/class/net -+/sys/devices/virtual/net
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service @sandbox chroot ptrace process_vm_readv process_vm_writev
SystemCallFilter=~@keyring userfaultfd io_uring_setup io_uring_enter io_uring_register
"""


def unit(declared: "Dict[str, Any]", image: "Dict[str, Any]", environment: "Dict[str, str]", directory: "str", final: "str",
         network: "str", package: "str", mounts: "Sequence[str]" = ()) -> "str":
    """Return the text of the unit for an image that is unpacked in ``directory``/root and will lie in ``final``/root.

    ``declared`` is what the package says, ``image`` the image's configuration, ``environment`` that of the workload, to which
    the variables are added that Docker adds; ``mounts`` are the directives for its volumes.  Raises Failure and OSError.
    """
    entry = image.get("Entrypoint") or [] if declared["entrypoint"] is None else declared["entrypoint"]
    # As Docker has it: another entry point takes away the image's command.
    own = image.get("Cmd") or [] if declared["entrypoint"] is None else []
    argv = list(entry) + list(declared["command"] or own)
    if not argv:
        raise Failure("the image names no program; declare 'command'")
    if argv[0][:1] in ("", "@", "-", "+", "!", ":", "|"):
        raise Failure("systemd can't run a program called {!r}; declare 'entrypoint'".format(argv[0]))
    root = os.path.join(directory, "root")
    user = image_user.user_of(root, declared.get("user") or image.get("User") or "")
    environment.setdefault("PATH", PATH)
    environment.setdefault("HOME", user.home)
    kept = capabilities(declared)
    bounds = kept if user.is_root else sorted(set(kept).union(image_user.NEEDED))
    lines = ["ExecSearchPath=" + value(environment["PATH"]),
             "UnsetEnvironment=" + " ".join(name for name in OF_SYSTEMD if name not in environment)]
    if declared["memory"] is not None:
        lines += ["MemoryMax={}".format(declared["memory"]), "MemorySwapMax={}".format(declared["memory"])]
    if declared["cpus"] is not None:
        lines.append("CPUQuota={}%".format(max(1, round(100 * declared["cpus"]))))
    if declared["read_only"]:
        lines.append("ReadOnlyPaths=+/")
    for mount in declared["tmpfs"]:
        path, _, options = mount.partition(":")
        lines.append("TemporaryFileSystem={}:{}".format(word(path), TMPFS + ("," + options if options else "")))
        if declared["read_only"]:
            lines.append("ReadWritePaths=+" + path)
    lines += mounts
    lines.append("CapabilityBoundingSet=" + " ".join("CAP_" + name for name in bounds))
    if not user.is_root:
        argv = image_user.command(user, kept, environment) + argv
        image_user.bring(os.path.join(directory, "user"), root)
        make_directory(root, image_user.PLACE)
        lines += ["BindReadOnlyPaths={}:{}".format(os.path.join(final, "user", name).rstrip("/"), place)
                  for name, place in (("", image_user.PLACE), *image_user.HIDDEN)]
    workdir = declared["workdir"] or image.get("WorkingDir") or "/"
    make_directory(root, workdir)
    make_directory(root, "/run")
    for mount in declared["tmpfs"]:
        make_directory(root, mount.partition(":")[0])
    return UNIT.format(
        package=package, title=value(declared["title"]), command=" ".join(map(word, [":" + argv[0]] + argv[1:])),
        root=os.path.join(final, "root"), environment=os.path.join(final, "environment"), output=os.path.join(final, "output"),
        workdir=value(workdir), lines="\n".join(lines), signal=signal_name(image.get("StopSignal")),
        stop_timeout=declared["stop_timeout"], files=FILES, network=network)


def capabilities(declared: "Dict[str, Any]") -> "List[str]":
    """Return the capabilities that a process may get, as `docker create` counts them."""
    dropped, added = set(declared["cap_drop"]), set(declared["cap_add"])
    kept = set() if ALL in dropped and ALL not in added else set(CAPABILITIES) - dropped
    return sorted((kept | added) & set(CAPABILITIES))


def environment_file(environment: "Dict[str, str]") -> "str":
    """Return variables as systemd reads them; between double quotes, a backslash takes away what four characters mean."""
    lines = []
    for key, text in sorted(environment.items()):
        for special in ("\\", '"', "$", "`"):
            text = text.replace(special, "\\" + special)
        lines.append('{}="{}"\n'.format(key, text))
    return "".join(lines)


def signal_name(found: "Any") -> "str":
    """Return the signal that the image wants as its stop signal: a name with or without SIG, or a number."""
    text = str(found or STOP_SIGNAL).upper()
    name = text if text.startswith("SIG") or text.isdigit() else "SIG" + text
    if not name.replace("+", "").replace("-", "").isalnum():
        raise Failure("the image's stop signal {!r} is none".format(found))
    return name


def value(text: "str") -> "str":
    """Return a text as a value of one line."""
    if any(ord(character) < 32 for character in text):
        raise Failure("{!r} can't be in a unit file".format(text))
    return text.replace("%", "%%")


def word(text: "str") -> "str":
    """Return a text as one word of a command line."""
    found = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return '"{}"'.format("".join(one if ord(one) >= 32 else "\\x{:02x}".format(ord(one)) for one in found))


def make_directory(root: "str", path: "str") -> "None":
    try:
        os.makedirs(inside(root, path.split("/"), makes=True), 0o755, exist_ok=True)
    except (OSError, ValueError) as error:
        raise Failure("the directory {} can't be made in the image: {}".format(path, error)) from None


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Sequence
