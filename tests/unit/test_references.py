"""References of images, taken apart as engines take them."""

from __future__ import annotations

import pytest

from ondemand_pkg.engines.references import Reference, parsed

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(("text", "repository", "tag", "digest", "version"), [
    ("nginx", "nginx", "", "", "latest"),
    ("nginx:1.27", "nginx", "1.27", "", "1.27"),
    ("registry.example:5000/team/web", "registry.example:5000/team/web", "", "", "latest"),
    ("registry.example:5000/team/web:2.1", "registry.example:5000/team/web", "2.1", "", "2.1"),
    (f"nginx@{DIGEST}", "nginx", "", DIGEST, DIGEST),
    # The tag is no part of what is pulled: an engine refuses a repository with one.
    (f"nginx:1.27@{DIGEST}", "nginx", "1.27", DIGEST, DIGEST),
    (f"registry.example:5000/web:2@{DIGEST}", "registry.example:5000/web", "2", DIGEST, DIGEST),
])
def test_a_reference_by_its_parts(text: str, repository: str, tag: str, digest: str, version: str) -> None:
    assert parsed(text) == Reference(repository, tag, digest)
    assert parsed(text).version == version and parsed(text).name == repository.rpartition("/")[2]
