"""The Docker engine of the machine that declarations are written and packages are built on.

Knows how it is found, how an image is asked for, pulled and saved, and how a registry is asked what a tag means; hides the docker
SDK and its exceptions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

from ondemand_pkg.engines import references
from ondemand_pkg.package import BLOCK

DOCKER_SOCKET, PODMAN_SOCKET = "/var/run/docker.sock", "/run/podman/podman.sock"
_NO_SUCH_IMAGE = ("manifest unknown", "not found", "does not exist")  # the words of engines and registries


class EngineError(Exception):
    """What went wrong, in one line: the engine's own words, or those of the operating system."""


class NoEngine(EngineError):
    """No engine answers."""


class Refused(EngineError):
    """The engine, or a registry that it asked, answers that it won't; ``status`` is that of HTTP, 0 where it gives none."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


class BrokenOff(EngineError):
    """The engine has answered before, and does not now."""


def place(environ: Mapping[str, str]) -> dict[str, str]:
    """Return where the engine is: where DOCKER_HOST says, else Docker's socket, else that of Podman where only that is there."""
    user = f"{environ.get('XDG_RUNTIME_DIR') or f'/run/user/{os.getuid()}'}/podman/podman.sock"
    if environ.get("DOCKER_HOST") or os.path.exists(DOCKER_SOCKET):
        return dict(environ)
    found = [path for path in (PODMAN_SOCKET, user) if os.access(path, os.W_OK)]
    return {**environ, "DOCKER_HOST": f"unix://{found[0]}"} if found else dict(environ)


class DockerEngine:
    """One engine, found as the docker command finds it (DOCKER_HOST, else its socket), or Podman where there is no Docker."""

    def __init__(self, environ: Mapping[str, str], timeout: int = 60) -> None:
        """Connect; ``timeout`` is for how many seconds the engine may be silent.  Raises NoEngine."""
        import docker  # two tenths of a second, which only those pay who ask

        self._errors = docker.errors
        try:
            self._client = docker.from_env(environment=place(environ), timeout=timeout)
            self._client.ping()
        except Exception as error:  # the SDK lets those of requests and urllib3 through as they are
            raise NoEngine(_reason(error)) from None

    def image(self, reference: str, progress: Callable[[str], None] = lambda step: None, pull: bool = True) -> dict[str, Any]:
        """Return what `docker inspect` tells of an image; pull it where it is not there, or return nothing where not ``pull``.

        ``progress`` is given a line for each step of the pull.  Raises Refused and BrokenOff.
        """
        with self._failures():
            try:
                return dict(self._client.images.get(reference).attrs)
            except self._errors.NotFound:
                if not pull:
                    return {}
            found = references.parsed(reference)
            for step in self._client.api.pull(found.repository, tag=found.version, stream=True, decode=True):
                if "error" in step:
                    reason = " ".join(str(step["error"]).split())
                    raise Refused(reason, 404 if any(words in reason.lower() for words in _NO_SUCH_IMAGE) else 0)
                progress(" ".join(str(step[key]) for key in ("id", "status", "progress") if step.get(key)))
            return dict(self._client.images.get(reference).attrs)

    def save(self, reference: str, stream: IO[bytes]) -> None:
        """Write the engine's archive of an image, which is pulled where it is not there; raises Refused and BrokenOff."""
        identity = self.image(reference)["Id"]
        with self._failures():
            for block in self._client.images.get(identity).save(chunk_size=BLOCK):
                stream.write(block)

    def digest(self, reference: str) -> str:
        """Return the digest that a registry has for a reference now ("sha256:..."); raises Refused, BrokenOff, NoEngine."""
        try:
            with self._failures():
                return str(self._client.images.get_registry_data(reference).id)
        except Refused as error:
            if "is not supported" in str(error):
                raise NoEngine("Podman, which does, does not tell what a tag means in a registry") from None
            raise

    def container(self, name: str) -> dict[str, Any]:
        """Return what `docker inspect` tells of a container, running or not; raises Refused (404: not there) and BrokenOff."""
        with self._failures():
            return dict(self._client.containers.get(name).attrs)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        import requests
        import urllib3

        try:
            yield
        except self._errors.APIError as error:
            raise Refused(_reason(error), error.status_code or 0) from None
        except (self._errors.DockerException, self._errors.StreamParseError, requests.RequestException,
                urllib3.exceptions.HTTPError) as error:
            raise BrokenOff(_reason(error)) from None


def _reason(error: BaseException) -> str:
    """Return why a call of the SDK failed: the engine's own words, or the innermost cause, on one line."""
    explanation = getattr(error, "explanation", None)
    if explanation:
        return " ".join(str(explanation).split())
    innermost = error
    while cause := innermost.__cause__ or innermost.__context__:
        innermost = cause
    return str(getattr(innermost, "strerror", None) or " ".join(str(innermost).split()))
