"""Virtual machines of the tests, each made once: Debian 13 with Docker, images, and AppArmor and firewalls, or SELinux.

Knows what such a machine holds and the kernel's options; hides that it is kept as a disk and the memory of a booted machine, and
how both are made without a mount: mke2fs fills the disk from a directory.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hosts import roots as hosts
from hosts.roots import cache, locked

from .machine import VirtualMachine

SUITE = "trixie"
AGENT = (Path(__file__).parent / "agent.py").read_text()
IMAGES = "var/lib/docker"  # of a host of the same suite, with the images of the tests
_BASE = ["systemd", "systemd-sysv", "udev", "dbus", "kmod", "linux-image-cloud-amd64", "initramfs-tools", "zstd", "docker.io",
         "docker-cli", "python3", "iproute2", "iptables", "nftables", "curl", "ca-certificates", "procps"]
_INITRAMFS = {
    "etc/initramfs-tools/conf.d/vm": "MODULES=list\nCOMPRESS=zstd\n",
    "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\n",
}
_UNIT = """\
[Unit]
Description=What the tests outside want
DefaultDependencies=no
Requires=sysinit.target
BindsTo=dev-virtio\\x2dports-agent.device
After=sysinit.target dbus.socket dev-virtio\\x2dports-agent.device
[Service]
Environment=HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
ExecStart=/usr/bin/python3 /usr/local/sbin/vm-agent
Restart=always
KillMode=process
[Install]
WantedBy=multi-user.target
"""
_FIREWALLS = ("firewalld.service", "ufw.service", "nftables.service")  # each test starts the one that it is about
_FILES = {
    "etc/hostname": "vm\n",
    "etc/hosts": "127.0.0.1 localhost vm\n::1 localhost\n",
    "etc/fstab": "/dev/vda / ext4 defaults 0 1\n",
    "etc/machine-id": "uninitialized\n",
    "etc/systemd/system/vm-agent.service": _UNIT,
    # A first boot enables what presets name, and disables nothing.
    "etc/systemd/system-preset/10-vm.preset": "".join(f"disable {unit}\n" for unit in _FIREWALLS),
    # Without KVM, on a busy machine, a boot takes minutes.
    "etc/systemd/system.conf.d/vm.conf": "[Manager]\nDefaultTimeoutStartSec=900\nDefaultTimeoutStopSec=900\n"
                                        "DefaultDeviceTimeoutSec=900\n",
    "etc/systemd/journald.conf.d/vm.conf": "[Journal]\nForwardToConsole=no\nRateLimitIntervalSec=0\n",
}
_NOT_THERE = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "fstrim.timer", "e2scrub_all.timer",
              "systemd-networkd-wait-online.service")
# Profiles of programs that the machine has not; their compilation takes half of a first boot.
_PROFILES = ("lsb_release", "unix-chkpwd", "nvidia_modprobe")


@dataclass(frozen=True)
class Flavour:
    """What is special about a machine."""

    packages: tuple[str, ...]
    append: str
    files: tuple[tuple[str, str], ...] = ()
    commands: tuple[str, ...] = ()  # in the root file system, once all is there


FLAVOURS = {
    "apparmor": Flavour(("apparmor", "apparmor-utils", "ufw", "firewalld"), "security=apparmor"),
    "selinux": Flavour(
        ("selinux-basics", "selinux-policy-default", "policycoreutils", "auditd"), "selinux=1 security=selinux enforcing=1",
        (("etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=default\n"),
         ("etc/docker/daemon.json", '{"selinux-enabled": true}\n')),
        ("setfiles -mF /etc/selinux/default/contexts/files/file_contexts / >/dev/null",)),
}


def flavour(name: str) -> Path:
    """Return the directory of a machine that is ready to go on, made at the first call: vmlinuz, initrd, disk, state."""
    wanted = FLAVOURS[name]
    images = hosts.root(SUITE)
    recipe = hashlib.sha256(repr((Path(__file__).read_text(), images.name, AGENT, _VERSION)).encode()).hexdigest()[:12]
    path = cache() / f"vm-{name}-{recipe}"
    with locked(f"vm-{name}"):
        if not path.exists():
            for old in cache().glob(f"vm-{name}-*"):
                shutil.rmtree(old)
            partial = cache() / f"partial-vm-{name}"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            _make_disk(partial, wanted, images)
            _boot_once(partial, wanted)
            partial.rename(path)
    return path


_VERSION = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True).stdout \
    if shutil.which("qemu-system-x86_64") else ""  # a state belongs to the qemu that wrote it


@contextlib.contextmanager
def thawed(name: str) -> Iterator[VirtualMachine]:
    """Return a machine that goes on from where it was frozen; what it changes on its disk is thrown away."""
    directory = flavour(name)
    with VirtualMachine(directory, FLAVOURS[name].append, state=directory / "state") as machine:
        machine.sh("until docker version >/dev/null 2>&1; do sleep 0.2; done")
        yield machine


def _make_disk(directory: Path, wanted: Flavour, images: Path) -> None:
    root = directory / "root"
    hook = "; ".join(f"mkdir -p $1/{Path(name).parent} && printf '%s' '{text}' > $1/{name}" for name, text in _INITRAMFS.items())
    _call("mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", "--aptopt=APT::Install-Recommends \"false\"",
          f"--essential-hook={hook}", f"--include={','.join([*_BASE, *wanted.packages])}", SUITE, str(root))
    for name, text in (*_FILES.items(), *wanted.files):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    agent = root / "usr/local/sbin/vm-agent"
    agent.write_text(AGENT)
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    _call("systemctl", f"--root={root}", "--quiet", "enable", "vm-agent.service")
    _call("systemctl", f"--root={root}", "--quiet", "mask", *_NOT_THERE)
    _call("systemctl", f"--root={root}", "--quiet", "disable", *(
        unit for unit in _FIREWALLS if (root / "usr/lib/systemd/system" / unit).exists()))
    profiles = root / "etc/apparmor.d"
    for profile in profiles.glob("*") if profiles.is_dir() else ():
        if profile.is_file() and profile.name not in _PROFILES:
            (profiles / "disable").mkdir(exist_ok=True)
            (profiles / "disable" / profile.name).symlink_to(f"/etc/apparmor.d/{profile.name}")
    shutil.rmtree(root / IMAGES, ignore_errors=True)
    _call("cp", "-a", "--reflink=auto", str(images / IMAGES), str(root / IMAGES))
    for command in wanted.commands:
        _call("chroot", str(root), "sh", "-c", command)
    for kind in ("vmlinuz", "initrd"):
        (found,) = (root / "boot").glob(f"{kind}*")
        shutil.copy(found, directory / kind)
    _call("mke2fs", "-q", "-t", "ext4", "-F", "-d", str(root), str(directory / "disk"), "5G")
    shutil.rmtree(root)


def _boot_once(directory: Path, wanted: Flavour) -> None:
    """Boot the machine, and keep it as it is once its engine answers."""
    with VirtualMachine(directory, wanted.append, changes=True) as machine:
        machine.sh("until docker version >/dev/null 2>&1; do sleep 0.5; done", timeout=600)
        machine.sh("sync")
        machine.freeze(directory / "state")


def _call(*argv: str) -> None:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"{argv[0]} ended with {done.returncode}: {done.stdout[-3000:]}")
