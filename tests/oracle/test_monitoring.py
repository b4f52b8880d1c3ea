"""The files for Prometheus and Grafana are taken by promtool, and by Grafana's own published schema."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from requirements import need

FILES = Path(__file__).parents[2] / "examples/monitoring"
RULES, DASHBOARD = FILES / "alerts.yaml", FILES / "dashboard.json"
RULE_TESTS = Path(__file__).parents[1] / "data/monitoring/alerts_test.yaml"


def as_grafana_has_it(module: str, name: str, value: Any) -> Any:
    """Return what a class of Grafana's schema keeps of a value."""
    cls = getattr(importlib.import_module(f"grafana_foundation_sdk.models.{module}"), name)
    return json.loads(json.dumps(cls.from_json(value), cls=JSONEncoder))


def unknown(written: Any, kept: Any, where: str = "") -> list[str]:
    """Return what was written and not kept."""
    if isinstance(written, dict):
        return [place for key, value in written.items()
                for place in ([f"{where}/{key}"] if key not in kept else unknown(value, kept[key], f"{where}/{key}"))]
    if isinstance(written, list):
        pairs = zip(written, kept, strict=True)
        return [place for index, pair in enumerate(pairs) for place in unknown(*pair, f"{where}/{index}")]
    return [where] if written != kept else []


def test_the_alerts_are_valid_and_fire_when_they_should(tmp_path: Path) -> None:
    need("promtool")
    for path in (RULES, RULE_TESTS):
        shutil.copy(path, tmp_path)
    for arguments in (["check", "rules", RULES.name], ["test", "rules", RULE_TESTS.name]):
        done = subprocess.run(["promtool", *arguments], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_is_one_of_grafanas_schema() -> None:
    board = json.loads(DASHBOARD.read_text())
    assert unknown(board, as_grafana_has_it("dashboard", "Dashboard", board)) == []


@pytest.mark.parametrize("panel", json.loads(DASHBOARD.read_text())["panels"], ids=lambda panel: panel["title"])
def test_the_options_of_a_panel_are_ones_of_its_kind(panel: dict[str, Any]) -> None:
    module = panel["type"].replace("-", "")
    assert unknown(panel["options"], as_grafana_has_it(module, "Options", panel["options"])) == []
    custom = panel["fieldConfig"]["defaults"].get("custom")
    if custom:
        where, name = ("common", "TableFieldOptions") if module == "table" else (module, "FieldConfig")
        kept = as_grafana_has_it(where, name, custom)
        assert unknown(custom, kept) == []


def test_an_option_that_grafana_does_not_know_is_found() -> None:
    assert unknown({"title": "x", "panles": []}, as_grafana_has_it("dashboard", "Dashboard", {"title": "x", "panles": []}))
