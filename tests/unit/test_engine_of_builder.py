"""Which engine the builder asks: the one that DOCKER_HOST names, else Docker, else Podman."""

from __future__ import annotations

from pathlib import Path

import pytest

from ondemand_pkg.engines import docker_sdk


@pytest.mark.parametrize(("there", "environ", "asked"), [
    (["docker", "podman"], {"DOCKER_HOST": "tcp://x:1"}, "tcp://x:1"), (["docker", "podman"], {}, None), (["docker"], {}, None),
    (["podman"], {}, "unix://{}/podman"), (["user/podman/podman.sock"], {}, "unix://{}/user/podman/podman.sock"), ([], {}, None)])
def test_podman_is_asked_where_there_is_no_docker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: list[str], environ: dict[str, str], asked: str | None,
) -> None:
    for name in there:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setattr(docker_sdk, "DOCKER_SOCKET", str(tmp_path / "docker"))
    monkeypatch.setattr(docker_sdk, "PODMAN_SOCKET", str(tmp_path / "podman"))
    found = docker_sdk.place({**environ, "XDG_RUNTIME_DIR": str(tmp_path / "user")}).get("DOCKER_HOST")
    assert found == (asked and asked.format(tmp_path))
