"""What is asked of Prometheus in the files for monitoring has an answer, from the metrics of a booted host."""

from __future__ import annotations

import functools
import http.server
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from requirements import need

from .conftest import built
from .machine import Machine

FILES = Path(__file__).parents[2] / "examples/monitoring"
METRICS = "/var/lib/prometheus/node-exporter"
SITE = '[container.web]\nimage = "nginx:1.27"\nversion = "1"\nports = ["80:80"]\nidle = "1s"\nmetrics = true\n'
VARIABLES = {"$instance": ".*", "$name": ".*", "$__range": "1h"}
LIMIT = 60.0  # seconds until Prometheus knows of what has happened


def queries() -> list[str]:
    """Return every query of the dashboard and of the alerts, the alerts' without their thresholds."""
    board = json.loads((FILES / "dashboard.json").read_text())
    found = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    for group in yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"]:
        found += [part.rsplit(" ", 2)[0] for rule in group["rules"] for part in rule["expr"].split(" and ")]
    for name, value in VARIABLES.items():
        found = [query.replace(name, value) for query in found]
    return found


class Exporter(http.server.BaseHTTPRequestHandler):
    """What a node exporter does with the files of a directory."""

    directory: Path

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        for path in self.directory.glob("*.prom"):
            self.wfile.write(path.read_bytes())

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def prometheus(trixie: Machine, tmp_path: Path) -> Iterator[str]:
    """A Prometheus that asks the host each second; its address."""
    need("prometheus")
    exporter = type("HostExporter", (Exporter,), {"directory": trixie.path(METRICS)})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), exporter) as server, socket.create_server(("127.0.0.1", 0)) as free:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{free.getsockname()[1]}"
        free.close()
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump({
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [{"job_name": "node", "static_configs": [{"targets": [f"127.0.0.1:{server.server_port}"]}]}]}))
        process = subprocess.Popen(["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
                                    f"--web.listen-address={address}"], cwd=tmp_path, stdout=subprocess.DEVNULL,
                                   stderr=(tmp_path / "log").open("w"))
        try:
            yield f"http://{address}"
        finally:
            os.kill(process.pid, signal.SIGTERM)
            process.wait(30)
            server.shutdown()


def answer(address: str, query: str) -> list[float]:
    with urllib.request.urlopen(f"{address}/api/v1/query?" + urllib.parse.urlencode({"query": query}), timeout=10) as stream:
        return [float(sample["value"][1]) for sample in json.load(stream)["data"]["result"]]


def until(address: str, query: str, value: float) -> None:
    """Wait until Prometheus knows a value."""
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            if answer(address, query) == [value]:
                return
        except OSError:
            pass  # it starts
        assert time.monotonic() < deadline, query
        time.sleep(0.2)


def test_every_query_of_the_dashboard_and_of_the_alerts_has_an_answer(trixie: Machine, prometheus: str, tmp_path: Path) -> None:
    trixie.run("mkdir", "-p", METRICS)
    trixie.apt_install(built(tmp_path, SITE)["deb/web"])
    for wakes in (1, 2):
        assert trixie.get() == "200"
        until(prometheus, "ondemand_wakes_total", wakes)
        until(prometheus, "ondemand_awake", 0)
    answers = {query: answer(prometheus, query) for query in queries()}
    assert {query: values for query, values in answers.items() if not values or any(value != value for value in values)} == {}


def test_the_queries_are_read_from_the_files() -> None:
    assert len(queries()) > 12 and not [query for query in queries() if "$" in query]
    assert functools.reduce(lambda found, query: found or "ondemand_awake" in query, queries(), False)
