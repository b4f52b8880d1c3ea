"""Control fields, read as strictly as the least careful of their readers makes necessary.

Knows what apt and dpkg make of a paragraph (deb822(5)): names in any case, white space before a colon, a carriage return that
ends a paragraph; hides it by refusing whatever two readers could read in two ways.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

RELATIONS = ("Pre-Depends", "Depends", "Recommends", "Suggests", "Enhances", "Conflicts", "Breaks", "Replaces",
             "Provides")  # deb-control(5), in the order of Dpkg::Control::FieldsCore
# What an index says of a file, and what dpkg's own database says of a package: apt would believe it of a control file, too.
_OF_INDEXES = ("Filename", "MSDOS-Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512", "Description-md5", "Status",
               "Config-Version", "Conffiles")
# What apt keeps as one text each, of 64 KiB at most: it aborts at more.
_SINGLE = ("Package", "Version", "Architecture", "Multi-Arch", "Source", "Section", "Priority", "Essential", "Installed-Size")
_SPELT = {name.lower(): name for name in (*RELATIONS, *_OF_INDEXES, *_SINGLE, "Maintainer", "Homepage", "Description")}
_LARGEST = 2**21  # characters of a control file; Debian's own have some hundred KiB at most
_LONGEST = 1000  # characters of a text that apt keeps
_NAME = r"[!-\"$-,.-9;-~][!-9;-~]*"  # deb822(5): ASCII without colon; not # nor - at the beginning
_CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]"
_BLANK = r"\n[ \t]+(?=\n|\Z)"  # to some readers the end of a paragraph
# As apt parses it, less what only it takes: where it fails, it reads no package of the suite.
_RELATION = (r"\s*(?P<name>[^\s,|()\[\]<>:]+(?::[a-z0-9-]+)?)"
             r"\s*(?:\(\s*(?:<<|<=|=|>=|>>|<|>)\s*(?P<version>[^\s,|()\[\]<>]+)\s*\)\s*)?")


def paragraph(text: str) -> dict[str, str]:
    """Return the fields of one paragraph, in their order; a folded value keeps its line ends.

    Fields that are known have the names of the manuals, however they are spelt.  Raises ValueError where a reader could see
    other fields, or other values.
    """
    if found := re.search(_CONTROL, text):
        raise ValueError(f"it contains the control character U+{ord(found[0]):04X}")
    lines: dict[str, list[str]] = {}
    seen, last = set[str](), ""
    for line in text.split("\n"):
        if line[:1] in (" ", "\t") and last:
            lines[last].append(line)
            continue
        name, colon, value = line.partition(":")
        if not colon or not re.fullmatch(_NAME, name):
            raise ValueError(f"the line {line[:80]!r} is not a field" if line else "it contains an empty line")
        if name.lower() in seen:
            raise ValueError(f"the field {name[:80]} occurs twice")
        seen.add(name.lower())
        last = _SPELT.get(name.lower(), name)
        lines[last] = [value]
    # Other white space than these two is the value's own.
    fields = {name: "\n".join(value).strip(" \t") for name, value in lines.items()}
    for name, value in fields.items():
        if re.search(_BLANK, value):
            raise ValueError(f"the field {name[:80]} contains an empty line")
    return fields


def control(text: str) -> dict[str, str]:
    """Return the fields of the control file of a .deb as ``paragraph`` does, without empty ones, which say nothing.

    Raises ValueError as that does, and for what apt breaks at.
    """
    try:
        if len(text) > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST >> 20} MiB")
        # apt breaks at an empty `Provides:`.
        fields = {name: value for name, value in paragraph(text.strip("\n")).items() if value}
        for name in _OF_INDEXES:
            if name in fields:
                raise ValueError(f"the field {name} belongs to an index, not to a package")
        for name in _SINGLE:
            if len(fields.get(name, "")) > _LONGEST or "\n" in fields.get(name, ""):
                raise ValueError(f"the field {name} has more than {_LONGEST} characters, or more than one line")
        _check_relations(fields)
    except ValueError as error:
        raise ValueError(f"its control file is invalid: {error}") from None
    for name in ("Package", "Version"):
        if not fields.get(name):
            raise ValueError(f"its control file has no field {name}")
    return fields


def _check_relations(fields: Mapping[str, str]) -> None:
    for name in RELATIONS:
        for relation in _relations(fields.get(name, "")):
            found = re.fullmatch(_RELATION, relation)
            if not found or len(found["name"]) > _LONGEST or len(found["version"] or "") > _LONGEST:
                raise ValueError(f"the field {name} contains {relation[:80].strip()!r}, which is not a relation")


def _relations(value: str) -> Iterable[str]:
    """Yield the alternatives of a field; a comma at its end is of no meaning."""
    stripped = value.rstrip()
    for group in stripped.removesuffix(",").split(",") if stripped else ():
        yield from group.split("|")
