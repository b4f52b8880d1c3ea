"""What a declaration can be made from: a file, a container, an image.

Knows by which marks a file is told for Compose or Quadlet, and when the engine is asked; hides the importers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ondemand_pkg.declaration.fields import IMAGE
from ondemand_pkg.declaration.values import Invalid
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.importing import compose, container, quadlet
from ondemand_pkg.importing import image as images
from ondemand_pkg.importing.draft import Draft, Note
from ondemand_pkg.importing.engine import Engine


def read(path: str, environ: Mapping[str, str]) -> tuple[list[Draft], list[Note]]:
    """Return the drafts of a Compose or Quadlet file, and notes that belong to none of them.

    Raises OndemandError for what is neither, and where nothing of it can be woken.
    """
    if path.endswith((".container", ".pod", ".kube", ".volume", ".network")):
        if not path.endswith(".container"):
            raise OndemandError(f"{path}: only .container files of Quadlet can be imported; import each container of it")
        return [quadlet.read(path)], []
    if path.endswith((".toml", ".json")) or re.search(r"(?:^|/)(?:Docker|Container)file[^/]*$", path):
        raise OndemandError(f"{path}: neither a Compose file (.yaml, .yml) nor a Quadlet file (.container); for an image there "
                            "is 'ondemand-pkg init IMAGE'")
    drafts, notes = compose.read(path, environ)
    if not drafts:
        raise OndemandError("\n".join([f"{path}: no service of it can be woken:", *map(str, notes)]))
    return drafts, notes


def inspect(name: str, environ: Mapping[str, str]) -> tuple[list[Draft], list[Note]]:
    """Return the draft of a container of this machine's engine; raises OndemandError."""
    engine = Engine(environ)
    details = engine.container(name)
    reference = str((details.get("Config") or {}).get("Image") or "")
    identity = str(details.get("Image") or reference)
    draft = container.draft_of(details, engine.image(identity, lambda step: None, pull=False))
    now = engine.image(reference, lambda step: None, pull=False) if reference else {}
    if now and now.get("Id", identity) != identity:
        draft.note(f"the container {name}", "image", f"{reference} is another image by now than the one that it was made from, "
                   f"{identity}; the package has the one that the name means")
    return [draft], []


def image(reference: str, environ: Mapping[str, str] | None, progress: Callable[[str], None]) -> Draft:
    """Return the draft of an image, by this machine's engine, or by its name alone where ``environ`` is None.

    ``progress`` is told the steps of a pull.  Raises OndemandError.
    """
    try:
        IMAGE.parse(reference)
    except Invalid as invalid:
        raise OndemandError(f"{reference!r} is no image; {invalid.findings[0].why}") from None
    if environ is None:
        return images.offline(reference)
    return images.draft_of(reference, Engine(environ).image(reference, progress))
