"""References of images: REPOSITORY[:TAG][@DIGEST].

Knows where a tag begins, next to the port of a registry, and which registry is meant; hides nothing.
"""

from __future__ import annotations

import re

from ondemand_pkg.frozen import frozen

_VERSION = re.compile(r"v?([0-9]+(?:\.[0-9A-Za-z]+)*)")


@frozen
class Reference:
    """One reference, by its parts; ``tag`` and ``digest`` ("sha256:...") are empty where it has none."""

    repository: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """The last part of the repository."""
        return self.repository.rpartition("/")[2]

    @property
    def version(self) -> str:
        """What says which image of the repository is meant; a digest leaves a tag without meaning."""
        return self.digest or self.tag or "latest"


def parsed(text: str) -> Reference:
    """Return a reference by its parts."""
    name, _, digest = text.partition("@")
    repository, colon, tag = name.rpartition(":")
    return Reference(repository, tag, digest) if colon and "/" not in tag else Reference(name, "", digest)


def version_of(text: str) -> str | None:
    """Return the version that the tag of a reference names ("16" for postgres:16-alpine), or None."""
    match = _VERSION.match(parsed(text).tag)
    return match[1] if match else None


def full_name(text: str) -> str:
    """Return a reference with the registry that Docker means where none is named: other engines ask for it."""
    first, slash, _ = text.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return text
    return f"docker.io/{text if slash else 'library/' + text}"
