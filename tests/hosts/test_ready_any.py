"""A container of which one port stays silent serves on the others, where its declaration says that one is enough."""

from __future__ import annotations

from pathlib import Path

from .conftest import built
from .machine import Machine

SITE = """
[package]
version = "1"

[container.any]
image = "servers:1"
ports = ["8001:81", "8002:8080"]
env   = { PORTS = "8080" }
ready = { tcp = "any", timeout = "20s" }

[container.named]
image = "servers:1"
ports = ["8003:81", "8004:8080"]
env   = { PORTS = "8080" }
ready = { tcp = ["8080"], timeout = "20s" }

[container.every]
image = "servers:1"
ports = ["8005:81", "8006:8080"]
env   = { PORTS = "8080" }
ready = { tcp = true, timeout = "3s" }
"""


def test_one_silent_port_holds_up_only_those_that_wait_for_every_port(host: Machine, tmp_path: Path) -> None:
    packages = built(tmp_path, SITE)
    host.apt_install(*(path for key, path in packages.items() if key.startswith("deb/")))
    for port in (8002, 8004):
        assert host.run("curl", "-sS", "--max-time", "30", f"http://127.0.0.1:{port}/").returncode == 0
    assert host.run("curl", "-sS", "--max-time", "30", "http://127.0.0.1:8006/", check=False).returncode != 0
    told = host.journal("ondemand-every-container.service")
    assert "to listen on" in told and ":81 (Connection refused)" in told and 'if it never does, ready = { tcp = "any" }' in told
