"""What a declaration can be made from: a file, a container, an image.

Knows by which marks a file is told for Compose or Quadlet, and when the engine is asked; hides the importers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ondemand_pkg.declaration.fields import IMAGE
from ondemand_pkg.declaration.values import Invalid
from ondemand_pkg.engines.docker_sdk import DockerEngine, EngineError, NoEngine, Refused
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.importing import command_line, compose, compose_load, container, quadlet_project
from ondemand_pkg.importing import image as images
from ondemand_pkg.importing.draft import Draft
from ondemand_pkg.importing.notes import Note


def read(path: str | Sequence[str], environ: Mapping[str, str], allow_outside: bool = False,
         profiles: Sequence[str] = (), offline: bool = True) -> tuple[list[Draft], list[Note]]:
    """Return the drafts of a Quadlet file, or of a Compose project of one or several files, and notes that belong to none.

    ``allow_outside`` lets files name, and link to, files outside their directory; ``profiles`` are those of Compose that are
    wanted, all where there are none; unless ``offline``, this machine's engine is asked which ports an image exposes.  Raises
    OndemandError for what is neither, and where nothing of it can be woken.
    """
    paths = [path] if isinstance(path, str) else list(path)
    for one in paths:
        if quadlet_project.is_quadlet(one) and not _compose_files(one):
            if len(paths) > 1:
                raise OndemandError(f"{one}: only Compose files can be given together; import it alone, or the directory of all "
                                    "Quadlet files")
            return quadlet_project.read(one, allow_outside)
        if one.endswith((".toml", ".json")) or re.search(r"(?:^|/)(?:Docker|Container)file[^/]*$", one):
            raise OndemandError(f"{one}: neither a Compose file (.yaml, .yml) nor a Quadlet file (.container); for an image use "
                                "'ondemand-pkg init IMAGE'")
    if len(paths) == 1 and os.path.isdir(paths[0]):
        paths = _compose_files(paths[0])[:1]
        if not paths:
            raise OndemandError(f"{path if isinstance(path, str) else path[0]}: Is a directory, without a Compose file "
                                f"({', '.join(compose_load.NAMES)}) or a Quadlet file (.container); give the name of the file")
    drafts, notes = compose.read(paths, environ, allow_outside, profiles, None if offline else _Images(environ).ask)
    if not drafts:
        raise OndemandError(f"{paths[0]}: none of its services can be woken:", *map(str, notes))
    return drafts, notes


class _Images:
    """What an engine that may not be there tells of images that it may not have."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._engine: DockerEngine | None = None
        self._is_away = False

    def ask(self, reference: str) -> Mapping[str, Any]:
        """Return what is known of an image, nothing where nobody answers."""
        try:
            if self._engine is None and not self._is_away:
                self._engine = DockerEngine(self._environ)
            return self._engine.image(reference, lambda step: None, False) if self._engine else {}
        except (NoEngine, EngineError):
            self._is_away = self._engine is None
            return {}


def _compose_files(path: str) -> list[str]:
    """Return the files of a directory that Compose would read, that which it would take first."""
    return [name for name in (os.path.join(path, name) for name in compose_load.NAMES) if os.path.lexists(name)]


def is_command_line(words: Sequence[str]) -> bool:
    """Tell whether what was given is a command line that makes a container, not files."""
    return command_line.is_command_line(words)


def typed(words: Sequence[str]) -> tuple[list[Draft], list[Note]]:
    """Return the draft of a command line (`docker run ...`); raises OndemandError."""
    return command_line.read(words)


def inspect(name: str, environ: Mapping[str, str]) -> tuple[list[Draft], list[Note]]:
    """Return the draft of a container of this machine's engine; raises OndemandError."""
    engine = _engine(environ)
    try:
        details = engine.container(name)
    except EngineError as error:
        if isinstance(error, Refused) and error.status == 404:
            raise OndemandError(f"there is no container {name!r}; 'docker ps --all' lists all containers") from None
        raise OndemandError(f"can't inspect the container {name!r}: {error}") from None
    reference = str((details.get("Config") or {}).get("Image") or "")
    identity = str(details.get("Image") or reference)
    draft = container.draft_of(details, _image(engine, identity, pull=False))
    now = _image(engine, reference, pull=False) if reference else {}
    if now and now.get("Id", identity) != identity:
        draft.note(f"the container {name}", "image", f"{reference} now refers to another image than the one that the container "
                   f"was created from, {identity}; the package uses the new one")
    return [draft], []


def image(reference: str, environ: Mapping[str, str] | None, progress: Callable[[str], None]) -> Draft:
    """Return the draft of an image, by this machine's engine, or by its name alone where ``environ`` is None.

    ``progress`` is told the steps of a pull.  Raises OndemandError.
    """
    try:
        IMAGE.parse(reference)
    except Invalid as invalid:
        raise OndemandError(f"{reference!r} is not an image; {invalid.mistakes[0]}") from None
    if environ is None:
        return images.offline(reference)
    return images.draft_of(reference, _image(_engine(environ), reference, progress))


def _engine(environ: Mapping[str, str]) -> DockerEngine:
    try:
        return DockerEngine(environ)
    except NoEngine as error:
        raise OndemandError(f"no Docker engine answers ({error}); start one ('systemctl start docker'), join the "
                            "group docker to be allowed to use it, or name it in DOCKER_HOST") from None


def _image(engine: DockerEngine, reference: str, progress: Callable[[str], None] = lambda step: None,
           pull: bool = True) -> dict[str, Any]:
    try:
        return engine.image(reference, progress, pull)
    except EngineError as error:
        raise OndemandError(f"the image {reference} is unavailable: {error}; try 'docker pull {reference}', or use "
                            "--offline") from None
