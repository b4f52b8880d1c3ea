"""What the options of the engines' create commands take for a value.

Knows the form of each value that the commands or their engines check, and which forms only some of them take; hides how a
value is checked.  Where it is not sure, a value is taken.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping

from ondemand_pkg.frozen import frozen


@frozen
class Form:
    """The form of a value: what each engine takes, what only one of them does, and what is allowed, in words."""

    everywhere: str
    allowed: str
    only: Mapping[str, str]  # a pattern by engine


_NONE: Mapping[str, str] = {}
_SIZE = Form(r"[0-9]+(?:\.[0-9]+)* ?[kmgtp]?i?b?", 'a size such as "64m"', _NONE)
_NUMBER = Form(r"[+-]?[0-9]+", "a whole number", _NONE)
_DURATION = Form(r"0|[+-]?(?:[0-9]+(?:\.[0-9]*)?(?:ns|us|\u00b5s|ms|s|m|h))+", 'a duration with its unit, such as "30s"',
                 {"podman": "disable"})
_PORT = r"[0-9]{1,5}(?:-[0-9]{1,5})?(?:/(?:tcp|udp|sctp))?"
_LIMITS = "core|cpu|data|fsize|locks|memlock|msgqueue|nice|nofile|nproc|rss|rtprio|rttime|sigpending|stack"
_NAMESPACE = {"podman": "private|ns:.+"}
_FORMS = {
    **dict.fromkeys(("--memory", "--memory-reservation", "--shm-size", "--kernel-memory"), _SIZE),
    **dict.fromkeys(("--cpu-period", "--cpu-quota", "--cpu-shares", "--oom-score-adj", "--pids-limit", "--memory-swappiness",
                     "--health-retries", "--cpu-rt-period", "--cpu-rt-runtime", "--blkio-weight"), _NUMBER),
    **dict.fromkeys(("--health-interval", "--health-timeout", "--health-start-period"), _DURATION),
    "--memory-swap": Form(f"-1|{_SIZE.everywhere}", 'a size such as "64m", or -1', _NONE),
    "--cpus": Form(r"[0-9]+(?:\.[0-9]*)?(?:/[0-9]+)?|\.[0-9]+", 'a number such as "1.5"', _NONE),
    "--ulimit": Form(rf"(?:{_LIMITS})=-?[0-9]+(?::-?[0-9]+)?", 'a limit such as "nofile=1024:2048"', {"podman": "host"}),
    "--sysctl": Form(r"(?:kernel\.(?:msg|sem|shm|domainname|hostname)|net\.|fs\.mqueue\.)[^=]*=.*",
                     'a setting of a namespace, such as "net.core.somaxconn=1024"', _NONE),
    "--env": Form(r"[^=]+(?:=.*)?", '"NAME=VALUE"', _NONE), "--label": Form(r"[^=]+(?:=.*)?", '"NAME=VALUE"', _NONE),
    "--pid": Form(r"|host|container:.+", '"host" or "container:NAME"', _NAMESPACE),
    "--uts": Form(r"|host", '"host"', {"podman": "private|ns:.+|container:.+"}),
    "--ipc": Form(r"|none|private|shareable|host|container:.+", '"private", "shareable", "host" or "container:NAME"',
                  {"podman": "ns:.+"}),
    "--userns": Form(r"|host", '"host"', {"podman": "auto.*|keep-id.*|nomap|private|ns:.+|container:.+"}),
    "--cgroupns": Form(r"|host|private", '"host" or "private"', {"podman": "ns:.+|container:.+"}),
    "--log-driver": Form(r"(?!passthrough$|passthrough-tty$|k8s-file$).*", "a driver of the engine",
                         {"podman": "passthrough|passthrough-tty|k8s-file"}),
    "--pull": Form(r"always|missing|never", '"always", "missing" or "never"', {"podman": "newer|true|false|ifnotpresent"}),
    "--security-opt": Form(r"no-new-privileges(?:[:=](?:true|false))?|(?:apparmor|seccomp|systempaths|writable-cgroups)[=:].+|"
                           r"label[=:](?:disable|(?:user|role|type|level):.+)", 'such as "no-new-privileges" or "seccomp=FILE"',
                           {"podman": r"(?:mask|unmask|proc-opts)[=:].+|label[=:](?:nested|filetype:.+)",
                            "docker": r"credentialspec=.+"}),
    "--expose": Form(_PORT, 'a port such as "80" or "53/udp"', _NONE),
    "--publish": Form(rf"(?:(?:\[[0-9a-f:.%]*\]|[0-9.]+)?:)?(?:[0-9]{{0,5}}(?:-[0-9]{{1,5}})?:)?{_PORT}",
                      '"[ADDRESS:][LISTEN:]PORT[/udp]"', _NONE),
    "--mac-address": Form(r"(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}", 'such as "02:42:ac:11:00:02"', _NONE),
    "--tmpfs": Form(r"/[^:]*(?::.*)?", "an absolute path, optionally with options behind a colon", _NONE),
    "--volume": Form(r"/[^:]*|[^:]+:/.*", '"NAME:/PATH" or "/HOST/PATH:/PATH"', _NONE),
    "--device": Form(r"/[^:]+(?::/[^:]*)?(?::[rwm]+)?", "a device such as /dev/snd, optionally with :/PATH and :rwm behind it",
                     {"docker": r"[a-z0-9.-]+/[A-Za-z0-9_.-]+=.+", "podman": r"[a-z0-9.-]+/[A-Za-z0-9_.-]+=.+"}),
    "--device-cgroup-rule": Form(r"[acb] (?:[0-9]+|\*):(?:[0-9]+|\*) [rwm]{1,3}", 'a rule such as "c 226:* rwm"', _NONE),
    **dict.fromkeys(("--device-read-bps", "--device-write-bps"), Form(r"/[^:]*:[0-9]+ ?[kmgtp]?i?b?", '"/DEVICE:SIZE"', _NONE)),
    **dict.fromkeys(("--device-read-iops", "--device-write-iops", "--blkio-weight-device"),
                    Form(r"/[^:]*:[0-9]+", '"/DEVICE:NUMBER"', _NONE)),
    "--link": Form(r"[^:]+(?::[^:]+)?", '"CONTAINER" or "CONTAINER:ALIAS"', _NONE),
    "--storage-opt": Form(r"[^=]+=.*", '"NAME=VALUE"', _NONE),
    "--stop-timeout": _NUMBER,
    "--dns": Form(r"(?!none$).*", "an IP address", {"podman": "none"}),
    "--attach": Form(r"stdin|stdout|stderr", '"stdin", "stdout" or "stderr"', _NONE),
    "--network": Form(r"(?!container:$).+", 'a network, or "container:NAME"', _NONE),
}
_MOUNT_TYPES = {"bind": None, "volume": None, "tmpfs": None, "image": None, "npipe": "docker", "cluster": "docker",
                "devpts": "podman", "glob": "podman", "ramfs": "podman", "artifact": "podman"}


def fault(name: str, value: str) -> tuple[str, frozenset[str] | None]:
    """Return what is allowed for an option instead of its value, or nothing; and the engines that alone take it, None for all."""
    if name == "--mount":
        return _mount(value)
    if name in _CHECKS and (allowed := _CHECKS[name](value)):
        return allowed, None
    form = _FORMS.get(name)
    if form is None or re.fullmatch(form.everywhere, value, re.IGNORECASE | re.DOTALL):
        return "", None
    takers = frozenset(engine for engine, pattern in form.only.items() if re.fullmatch(pattern, value, re.IGNORECASE | re.DOTALL))
    return ("", takers) if takers else (f"allowed: {form.allowed}", None)


def _address(value: str) -> str:
    return "" if value == "none" or _is_address(value) else "allowed: an IP address"


def _host(value: str) -> str:
    name, sign, address = value.partition("=") if "=" in value else value.partition(":")
    if name and sign and (address == "host-gateway" or _is_address(address)):
        return ""
    return 'allowed: "NAME:ADDRESS", an IP address or host-gateway'


def _limit(value: str) -> str:
    soft, colon, hard = value.partition("=")[2].partition(":")
    if colon and soft.lstrip("-").isdigit() and hard.isdigit() and int(soft) > int(hard):
        return "the soft limit, the first one, must not be above the hard limit"
    return ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.removeprefix("[").removesuffix("]").partition("%")[0])
    except ValueError:
        return False
    return True


_CHECKS: Mapping[str, Callable[[str], str]] = {"--dns": _address, "--add-host": _host, "--ulimit": _limit}


def _mount(value: str) -> tuple[str, frozenset[str] | None]:
    if '"' in value:  # quoted as in CSV: not looked into
        return "", None
    fields = dict(part.partition("=")[::2] for part in value.split(","))
    kind = fields.get("type", "volume")
    if kind not in _MOUNT_TYPES:
        return f"allowed types: {', '.join(_MOUNT_TYPES)}", None
    if not any(fields.get(key) for key in ("target", "destination", "dst")) and kind != "glob":
        return "it has no target: write target=/PATH", None
    engine = _MOUNT_TYPES[kind]
    return "", frozenset({engine}) if engine else None
