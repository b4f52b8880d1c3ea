"""The helpers that a package brings: programs, and the modules that they are made of.

Knows which helpers a container's package needs; hides where they lie.  They run on hosts, under the Python that those have.
"""

from __future__ import annotations

import functools
from pathlib import Path

from ondemand_pkg.contents.rendering import render
from ondemand_pkg.engines.choice import engine_of, is_replicated, is_unpacked, modules_of
from ondemand_pkg.model import RELAY, SOCKET_PROXYD, Container, ReadyKind
from ondemand_pkg.waking import Datagrams

DIRECTORY = Path(__file__).parent.parent / "helpers"

# The programs that ask the engine, and those that don't.
_ASKING, _OTHERS = ("container", "look", "run", "waitport"), ("addresses",)
_MODULES = ("attending", "children", "companions", "control", "declared", "engines/__init__", "exclusion", "holders", "linked",
            "listening", "memory", "moving", "names", "outcome", "own_sockets", "pools", "process", "programs", "record",
            "required", "run_life", "run_options", "run_states", "starts", "states", "steps", "tasks", "vigil", "words")
_PROXIES = {
    RELAY: ("relay", ("carriers/__init__", "carriers/arriving", "carriers/clients", "carriers/ends", "carriers/streams", "loop",
                      "proxy_protocol", "relay_life", "relay_states")),
    SOCKET_PROXYD: ("proxyd", ()),
}
_OF_KERNEL = ("carriers/kernel", "engines/forwarding", "kernel_table", "netlink", "passing", "tracked")
_READINESS = {ReadyKind.HTTP: ("httpcheck",), ReadyKind.HEALTHCHECK: ("execcheck",), ReadyKind.EXEC: ("execcheck",),
              ReadyKind.LOG: ("logcheck",), ReadyKind.UDP: ("udpcheck",)}


def programs(container: Container) -> dict[str, str]:
    """Return the text of each program, by its name."""
    others = (*_OTHERS, _PROXIES[container.proxy][0], *(("network",) if container.expose else ()),
              *(("waker",) if container.wakes else ()), *(("kernel",) if container.kernel_ports else ()),
              *(("apart",) if is_unpacked(container) else ())
              ) if container.listens else ()
    asking = (*_ASKING, *(("task",) if container.task else ()))
    return {**{name: render("libexec/program.j2", program=name, engine=engine_of(container).word) for name in asking},
            **{name: render("libexec/program.j2", program=name, engine="") for name in others}}


def texts(container: Container) -> dict[str, str]:
    """Return what the helpers read of how containers reach each other, by the file's name (linked.py)."""
    hosts = f"{' '.join((container.shared_address, container.name, *container.aliases))}\n" if container.expose else ""
    links = "".join(f"{link}\n" for link in container.links)
    return {name: text for name, text in (("hosts", hosts), ("links", links)) if text}


def modules(container: Container) -> dict[str, bytes]:
    """Return the source of each module, by its path below the directory of the helpers."""
    of_proxy = _PROXIES[container.proxy][1] if container.listens else ()
    of_engine = (f"engines/{module}" for module in modules_of(container))
    names = [*_MODULES, *of_engine, *of_proxy, *_READINESS.get(container.ready.kind, ()), *programs(container),
             *(("metrics",) if container.metrics else ()), *(("carriers/datagrams",) if container.udp_targets else ()),
             *(("hours",) if container.keep_awake else ()), *(("gateway",) if container.network_of else ()),
             *(_OF_KERNEL if container.kernel_ports else ()),
             *(("network",) if is_unpacked(container) else ()),
             *(("carriers/spread", "httpcheck", "replicas") if is_replicated(container) else ()),
             *(("carriers/silent",) if container.attends else ()),
             *(("carriers/few",) if isinstance(container.wake_on, Datagrams) else ()),
             *(("carriers/health",) if container.health else ()),
             *(("unwoken",) if container.listens and (container.attends or container.allow) else ())]
    return {f"{name}.py": _source(name) for name in names}


def directories(container: Container) -> list[str]:
    """Return the directories of modules, by their path below the directory of the helpers."""
    return sorted({path.rpartition("/")[0] for path in modules(container) if "/" in path})


@functools.cache
def _source(name: str) -> bytes:
    return (DIRECTORY / f"{name}.py").read_bytes()
