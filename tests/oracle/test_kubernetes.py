"""What `export --to kubernetes` writes is held against the strict schemas of Kubernetes, and those of KEDA's objects."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from ondemand_pkg.declaration import reader
from ondemand_pkg.exporting import kubernetes, manifest
from ondemand_pkg.importing import draft, origins

DATA = Path(__file__).parents[1] / "data"
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))
PROJECTS = sorted((DATA / "compose").glob("*.yaml"))
OWN_SCHEMAS = {"InterceptorRoute": "interceptorroute.json", "ScaledObject": "scaledobject.json"}


def problems(one: dict[str, Any]) -> list[str]:
    """Return what is wrong with an object."""
    return _problems(json.dumps(one))


@functools.cache
def _problems(text: str) -> list[str]:
    one = json.loads(text)
    if one["kind"] in OWN_SCHEMAS:
        schema = json.loads((DATA / "kubernetes" / OWN_SCHEMAS[one["kind"]]).read_text())
        return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(one)]
    try:
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{error.path}: {error.message}"]
    return []


def check(path: Path) -> None:
    for with_keda in (False, True):
        objects, losses = kubernetes.objects(reader.read_declared([str(path)]), with_keda)
        read = list(yaml.safe_load_all(manifest.stream(objects, [str(loss) for loss in losses])))
        assert read == objects
        assert {f"{one['kind']}/{one['metadata']['name']}": problems(one) for one in read if problems(one)} == {}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_become_valid_objects(path: Path) -> None:
    check(path)


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: path.stem)
def test_imported_projects_become_valid_objects(path: Path, tmp_path: Path) -> None:
    drafts, notes = origins.read(str(path), os.environ, allow_outside=False)
    declaration = tmp_path / "imported.toml"
    declaration.write_text(draft.text(drafts, path.name, notes))
    check(declaration)


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    assert problems({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"prots": []}})
    assert problems({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "x"}, "spec": {}})
