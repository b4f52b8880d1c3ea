"""A suite as apt reads it.

Knows the index files below dists/SUITE and how they refer to each other; hides compression and links.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path

from ondemand_pkg.repository import gpg
from ondemand_pkg.repository.directory import link
from ondemand_pkg.repository.inspect import Facts
from ondemand_pkg.repository.pieces import Piece, compress, cut
from ondemand_pkg.repository.state import Item, State

COMPONENT = "main"
ALL = "all"
# Those of Debian 12 and 13: a host is told of a package for all of them only by an index of its own architecture.
ARCHITECTURES = ("amd64", "arm64", "armel", "armhf", "i386", "mips64el", "ppc64el", "riscv64", "s390x")
_DATE = re.compile(rb"^Date: (.{1,60})$", re.MULTILINE)
_FORMS = {"": "plain", ".gz": "gz", ".xz": "xz"}


def _moment(seconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


def stanza(facts: Facts, item: Item) -> bytes:
    """Return the paragraph of a package in Packages (deb822(5)): its control file, and where its .deb is."""
    fields = {**facts.fields, "Filename": item.path, "Size": str(item.size), "SHA256": item.sha256}
    description = fields.pop("Description", "")
    lines = [f"{name}: {value}\n" for name, value in fields.items()]
    if description:
        lines.append(f"Description: {description}\n")
    return ("".join(lines) + "\n").encode("utf-8", "surrogateescape")


def date(release: Path) -> int:
    """Return the date of a Release file in seconds since the epoch, 0 where it tells none."""
    try:
        found = _DATE.search(release.read_bytes())
        return int(parsedate_to_datetime(found[1].decode()).timestamp()) if found else 0
    except (OSError, ValueError, OverflowError):
        return 0


def write(directory: Path, suite: str, packages: Sequence[tuple[Item, bytes]], known: Mapping[bytes, Piece],
          state: State) -> tuple[list[str], dict[bytes, Piece]]:
    """Write the indexes of a suite; return the by-hash files, relative to the directory, and the pieces of the texts.

    ``packages`` are sorted, each with its stanza; ``state`` has the keys and the date.  Raises OndemandError.
    """
    foreign = sorted({item.architecture for item, _ in packages} - {ALL})
    architectures = sorted({*ARCHITECTURES, *foreign})
    entries: list[tuple[str, str, int]] = []  # name below the directory, SHA-256, bytes
    by_hash, pieces = list[str](), dict[bytes, Piece]()
    shared: Path | None = None
    shared_entries: list[tuple[str, str, int]] = []
    for architecture in architectures:
        place = directory / COMPONENT / f"binary-{architecture}"
        if architecture not in foreign and shared is not None:
            # What is there for all of them is the same: other names of the same files.
            for name, digest, _ in shared_entries:
                link(shared / name, place / name)
                if name != "Packages":
                    link(shared / name, place / "by-hash/SHA256" / digest)
        else:
            shown = [(item.path, paragraph) for item, paragraph in packages if item.architecture in (ALL, architecture)]
            text = compress(cut(shown), known)
            pieces |= text.pieces
            shared_entries = _write_one(place, {f"Packages{ending}": getattr(text, form) for ending, form in _FORMS.items()})
            if architecture not in foreign:
                shared = place
        below = f"{COMPONENT}/binary-{architecture}"
        entries += [(f"{below}/{name}", digest, size) for name, digest, size in shared_entries]
        by_hash += [f"{below}/by-hash/SHA256/{digest}" for name, digest, _ in shared_entries if name != "Packages"]
    _release(directory, suite, architectures, entries, state)
    return by_hash, pieces


def _write_one(place: Path, files: Mapping[str, bytes]) -> list[tuple[str, str, int]]:
    """Write the forms of one index; return name, SHA-256 and size of each."""
    (place / "by-hash/SHA256").mkdir(parents=True)
    written = []
    for name, data in files.items():
        digest = hashlib.sha256(data).hexdigest()
        (place / name).write_bytes(data)
        if name != "Packages":  # apt takes the smallest form it knows, and it has known xz since 2009
            link(place / name, place / "by-hash/SHA256" / digest)
        written.append((name, digest, len(data)))
    return written


def _release(directory: Path, suite: str, architectures: Iterable[str], entries: Iterable[tuple[str, str, int]],
             state: State) -> None:
    fields = {
        "Origin": "ondemand", "Label": "ondemand", "Suite": suite, "Codename": suite,
        "Date": _moment(state.date),
        **({"Valid-Until": _moment(state.date + state.valid_for)} if state.valid_for else {}),
        "Architectures": " ".join(architectures), "Components": COMPONENT, "Acquire-By-Hash": "yes",
        "Description": "Containers that start at the first connection",
    }
    release = ("".join(f"{name}: {value}\n" for name, value in fields.items()) + "SHA256:\n"
               + "".join(f" {digest} {size} {name}\n" for name, digest, size in entries)).encode()
    signed: Mapping[str, Callable[[bytes, Sequence[str]], bytes]] = {"InRelease": gpg.clear_signed, "Release.gpg": gpg.detached}
    with ThreadPoolExecutor() as pool:
        made = pool.map(lambda sign: sign(release, state.keys), signed.values())
        for name, data in {"Release": release, **dict(zip(signed, made, strict=True))}.items():
            (directory / name).write_bytes(data)
