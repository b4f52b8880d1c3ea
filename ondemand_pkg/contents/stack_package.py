"""What the package of a declared stack holds, for one format.

Knows how a stack names its members to a package manager, and what it says of them on a host; hides the documents' templates.
"""

from __future__ import annotations

import dataclasses
import json
import posixpath

from ondemand_pkg import __version__, layout
from ondemand_pkg.contents.declaration_file import stack_as_toml
from ondemand_pkg.contents.documents import deb_documents, plain_file
from ondemand_pkg.contents.package_of import described
from ondemand_pkg.contents.rendering import render
from ondemand_pkg.formats import Format
from ondemand_pkg.model import Stack
from ondemand_pkg.package import Entry, Kind, Package, Role


def package(stack: Stack, format: Format, time: int) -> Package:
    """Return the package of a stack in one format, with ``time`` as its timestamp."""
    names = ", ".join(member.name for member in stack.members)
    metadata = described(stack, "application", time, f"Members {names}.",
                         f"An application of {len(stack.members)} on-demand containers, each a package of its own: {names}. "
                         "Installing, upgrading and removing this package does so with all of them.")
    least, exact = ([format.relation(member.package_name, sign, f"{member.version}-{member.release}") for member in stack.members]
                    for sign in (">=", "="))
    # A member that is upgraded alone must not make a package manager remove the stack.
    relations = {format.depends: (*least, *getattr(stack.depends, format.name)), "recommends": tuple(exact)}
    metadata = dataclasses.replace(metadata, relations=relations)
    entries = [*_files(stack), *(deb_documents(metadata, "doc/lintian-overrides-stack.j2") if format.has_documents else ())]
    return dataclasses.replace(metadata, entries=tuple(sorted(entries, key=lambda entry: entry.path)))


def _files(stack: Stack) -> list[Entry]:
    path, documents = layout.stack(stack.package_name), layout.documents(stack.package_name)
    content = {"stack": stack.name, "members": {member.name: f"{member.version}-{member.release}" for member in stack.members},
               "built_by": __version__}
    return [
        Entry(posixpath.dirname(path), Kind.DIRECTORY, 0o755),
        plain_file(path, json.dumps(content, indent=2) + "\n"),
        Entry(documents, Kind.DIRECTORY, 0o755),
        plain_file(f"{documents}/README", render("doc/README-stack.j2", s=stack), role=Role.DOC),
        plain_file(layout.declaration(stack.package_name), stack_as_toml(stack), role=Role.DOC),
    ]
