"""The Docker engine of the machine that declarations are written on.

Knows how an image is asked for, and pulled where it is not there; hides the docker SDK and its exceptions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ondemand_pkg.errors import OndemandError

_TIMEOUT = 60  # seconds for one answer; a pull answers in pieces


class Engine:
    """One engine, found as the docker command finds it (DOCKER_HOST, else its socket)."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        import docker  # a tenth of a second, which no other command pays

        self._errors = docker.errors
        try:
            self._client = docker.from_env(environment=dict(environ), timeout=_TIMEOUT)
            self._client.ping()
        except Exception as error:  # the SDK lets those of requests and urllib3 through as they are
            raise OndemandError(f"no Docker engine answers ({_reason(error)}); start one ('systemctl start docker'), be allowed "
                                "to use it (the group docker), or name it in DOCKER_HOST") from None

    def image(self, reference: str, progress: Callable[[str], None], pull: bool = True) -> dict[str, Any]:
        """Return what `docker inspect` tells of an image; pull it where it is not there and ``pull`` allows it.

        ``progress`` is given a line for each step of the pull.  Raises OndemandError.
        """
        try:
            return dict(self._client.images.get(reference).attrs)
        except self._errors.NotFound:
            if not pull:
                return {}
        except Exception as error:
            raise _not_to_be_had(reference, _reason(error)) from None
        name, tag = _parted(reference)
        try:
            for step in self._client.api.pull(name, tag=tag, stream=True, decode=True):
                if "error" in step:
                    raise _not_to_be_had(reference, step["error"])
                progress(" ".join(str(step[key]) for key in ("id", "status", "progress") if step.get(key)))
            return dict(self._client.images.get(reference).attrs)
        except OndemandError:
            raise
        except Exception as error:
            raise _not_to_be_had(reference, _reason(error)) from None

    def container(self, name: str) -> dict[str, Any]:
        """Return what `docker inspect` tells of a container, running or not; raises OndemandError."""
        try:
            return dict(self._client.containers.get(name).attrs)
        except self._errors.NotFound:
            raise OndemandError(f"there is no container {name!r}; 'docker ps --all' lists those that there are") from None
        except Exception as error:
            raise OndemandError(f"the engine does not tell of the container {name!r}: {_reason(error)}") from None


def _not_to_be_had(reference: str, reason: str) -> OndemandError:
    return OndemandError(f"the image {reference} can't be had: {reason}; 'docker pull {reference}' tries it by hand, "
                         "--offline goes without")


def _parted(reference: str) -> tuple[str, str]:
    """Return an image's name and its tag or digest, "latest" where it has none: without one the SDK pulls every tag."""
    name, at, digest = reference.partition("@")
    if at:
        return name, digest
    head, colon, tag = reference.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (reference, "latest")


def _reason(error: BaseException) -> str:
    """Return why a call of the SDK failed: the engine's own words, or the innermost cause, on one line."""
    explanation = getattr(error, "explanation", None)
    if explanation:
        return " ".join(str(explanation).split())
    innermost = error
    while cause := innermost.__cause__ or innermost.__context__:
        innermost = cause
    return str(getattr(innermost, "strerror", None) or " ".join(str(innermost).split()))
