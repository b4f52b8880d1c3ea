"""A command line that makes a container: `docker run ...`, `podman run ...`, or `create` in its place.

Knows where its options end, its image is, and its arguments begin; hides what options become.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ondemand_pkg.declaration.fields import IMAGE
from ondemand_pkg.declaration.values import Invalid
from ondemand_pkg.engines import create_options, references
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.importing import health_checks, ports
from ondemand_pkg.importing.draft import IDLE, Draft, name_of
from ondemand_pkg.importing.notes import Note
from ondemand_pkg.importing.run_options import RunOptions, Source, take_words

ENGINES = ("docker", "podman")
_PLACE = "the command line"
_WITHOUT_PORT = ("it can't be woken: a connection wakes a container, and it publishes no TCP port; add one to the options, such "
                 "as "
                 "--publish 8080:80 with the port on which it listens behind the colon")


def is_command_line(words: Sequence[str]) -> bool:
    """Tell whether words are a command line of an engine; a file is one word."""
    return any(word.rpartition("/")[2] in ENGINES for word in _without_sudo(words)[:1]) and len(words) > 1


def read(words: Sequence[str]) -> tuple[list[Draft], list[Note]]:
    """Return the draft that a command line becomes; raises OndemandError where no container is made, or none that can be woken.
    """
    run = options_of(words)
    _find_port(run)
    run.draft.keep_what_is_valid(_PLACE)
    if not {"ports", "expose"} & run.draft.values.keys():
        raise OndemandError(f"{_PLACE}: {_WITHOUT_PORT}", *map(str, run.draft.notes))
    run.draft.values["idle"] = IDLE
    return [run.draft], []


def options_of(words: Sequence[str]) -> RunOptions:
    """Return what a command line says of its container; raises OndemandError for one that makes none."""
    words = _without_sudo(words)
    engine = words[0].rpartition("/")[2]
    rest = _behind_the_command(words[1:], engine)
    draft = Draft("container")
    run = RunOptions(draft, Path.cwd(), is_docker=engine == "docker")
    given, misread, end = create_options.read(rest, may_have_arguments=True, of_run=True)
    if misread:
        raise OndemandError(*(f"{_PLACE}: {rest[one.index]!r}: {one.finding}; {one.remedy}" for one in misread))
    if end >= len(rest):
        raise OndemandError(f"{_PLACE}: it names no image; write it behind the options: '{engine} run OPTIONS IMAGE COMMAND'")
    image = rest[end].removeprefix("docker://")
    try:
        IMAGE.parse(image)
    except Invalid as invalid:
        raise OndemandError(f"{_PLACE}: {image!r} would be the image; {invalid.mistakes[0]}") from None
    names = [option.value for option in given if option.name == "--name"]
    draft.name = name_of(names[-1] if names else references.parsed(image).name)
    take_words(run, rest[:end], lambda word: Source(_PLACE, word), engine, may_have_arguments=True)
    run.image(image, Source(_PLACE, "the image"))
    if rest[end + 1:]:
        draft.values["command"] = list(rest[end + 1:])
    run.finish()
    return run


def _find_port(run: RunOptions) -> None:
    """Take the port that the health check asks where none is published."""
    values = run.draft.values
    found = health_checks.ports(values.get("ready", {}).get("exec", []))
    if "ports" not in values and "expose" not in values and not run.network and found:
        values["expose"] = [str(port) for port in found]
        run.draft.remark("expose", "It publishes none; its health check asks this one. For other containers of the host alone.")
    if said := ports.settle_readiness(values):
        run.draft.note(_PLACE, "--publish", said)


def _without_sudo(words: Sequence[str]) -> list[str]:
    return list(words[1:] if list(words[:1]) == ["sudo"] else words)


def _behind_the_command(words: Sequence[str], engine: str) -> list[str]:
    """Return what stands behind `run`, `create` or `container run`; options of the whole command are refused by name."""
    left = list(words)
    if left[:1] == ["container"]:
        left = left[1:]
    if left[:1] in (["run"], ["create"]):
        return left[1:]
    found = repr(left[0]) if left else "nothing"
    raise OndemandError(f"{_PLACE}: found {found} behind {engine!r}; 'run' or 'create' is allowed there, less options of the "
                        f"whole command")
