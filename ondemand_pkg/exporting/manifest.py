"""Objects as a YAML stream.

Knows which words YAML 1.1 and 1.2 take for something else than a string; hides PyYAML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from ondemand_host.visible import visible

# Everything else is quoted: "1e3" and "0o14" are strings for PyYAML, and numbers for those who read it.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_WORDS = {"y", "yes", "n", "no", "on", "off", "true", "false", "null"}


class _Dumper(yaml.SafeDumper):
    """A dumper that quotes whatever could be read as no string, and shares no node between places."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Dumper.add_representer(str, _string)


def stream(objects: Iterable[Mapping[str, Any]], head: Sequence[str]) -> str:
    """Return objects as documents of one stream, below lines of comment."""
    comment = "".join(f"# {visible(line)}".rstrip() + "\n" for line in head)
    return comment + "".join("---\n" + yaml.dump(one, Dumper=_Dumper, sort_keys=False, width=120) for one in objects)
