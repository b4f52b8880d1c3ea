"""The environment of one service of a Compose project.

Knows that `environment` wins over `env_file`, and that what seems to be a secret and lies outside the Compose file does not come
into a package, which everybody may read; hides both syntaxes of each.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from ondemand_pkg.declaration.secret_names import is_secret
from ondemand_pkg.importing.compose_file import EMPTY, ComposeFile
from ondemand_pkg.importing.draft import Draft
from ondemand_pkg.importing.interpolation import Layers
from ondemand_pkg.importing.notes import Weight
from ondemand_pkg.importing.reach import SPLIT, OutOfReach, TooMuch
from ondemand_pkg.importing.variables import OUTSIDE
from ondemand_pkg.importing.yaml_lines import Located


class ServiceEnvironment:
    """What becomes of a service's variables: ``kept`` for `env`, ``left_out`` are told with what to do instead.

    A secret that the Compose file itself holds is kept: whoever has the file has it, and `check` warns.
    """

    def __init__(self, name: str, keys: Mapping[str, Located], scope: ComposeFile, draft: Draft) -> None:
        self._name, self._scope, self._draft = name, scope, draft
        self.left_out: dict[str, str] = {}
        own: dict[str, str] = {}
        unset: set[str] = set()
        for variable, text, item in scope.pairs(keys.get("environment", EMPTY), "="):
            value = text
            if value is None:  # from the environment of who runs Compose
                value = scope.variables.get(variable)
            if value is None:
                unset.add(variable)
                self._note(item.place, f"environment.{variable}",
                           "no value here; write it into /etc/ondemand/{NAME}.env on each host")
                continue
            own[variable] = value
            unset.discard(variable)
            if is_secret(variable, value) and (text is None or not item.is_own):
                self._leave_out(variable, value, item.place, f"environment.{variable}")
        env: dict[str, str] = {}
        found = keys.get("env_file", EMPTY)
        entries = found.value if isinstance(found.value, list) else [] if found.value is None else [found]
        known = Layers(scope.variables, own, env)
        for entry in entries:
            env |= self._env_file(entry, known, {*own, *unset})
        self.kept = {variable: text for variable, text in {**env, **own}.items()
                     if variable not in self.left_out and variable not in unset}

    def _note(self, place: str, what: str, instead: str, weight: Weight = Weight.CHANGED) -> None:
        self._draft.note(place, what, instead, weight, self._name)

    def _env_file(self, entry: Located, known: Mapping[str, str], own: Collection[str]) -> dict[str, str]:
        """Return the variables of one file."""
        scope, place = self._scope, entry.place
        keys = entry.value if isinstance(entry.value, dict) else {"path": entry}
        name = scope.text(keys.get("path", Located(entry.line, "")))
        path = scope.absolute(name)
        form = scope.text(keys["format"]) if "format" in keys else ""
        if form not in ("", "raw"):
            self._note(place, f"env_file {name}", f"the format {form!r} is unknown; write its lines into env")
            return {}
        is_required = "required" not in keys or scope.flag(keys["required"])
        try:
            if not is_required and not os.path.exists(scope.reach.real(path)):
                return {}
            found = scope.variables_of(path, place, form == "raw", known)
        except OutOfReach as error:
            self._note(place, f"env_file {name}",
                       f"{error}; write its lines into /etc/ondemand/{{NAME}}.env on each host", Weight.LOSS)
            return {}
        except TooMuch as error:
            scope.fault(entry, str(error), SPLIT)
        if not scope.reach.is_inside(path):
            self._note(place, f"env_file {name}", OUTSIDE.format(os.path.realpath(path)))
        for variable, said in found.items():
            if variable not in own and is_secret(variable, said.value):
                self._leave_out(variable, said.value, f"{path}:{said.line}", f"env_file.{variable}")
            elif variable not in own:
                self.left_out.pop(variable, None)  # an earlier file's
        if found:
            self._draft.remark("env", f"Those of {name} are among them; secrets belong in "
                                      f"/etc/ondemand/{self._draft.name}.env on each host.")
        return {variable: said.value for variable, said in found.items()}

    def _leave_out(self, variable: str, text: str, place: str, what: str) -> None:
        self.left_out[variable] = text
        remedy = ("its value has several lines: write it into a file of the host and mount that with a volume" if "\n" in text
                  else "write the line '{KEY}=' with its value, without quotes, into /etc/ondemand/{NAME}.env "
                  "on each host")
        self._note(place, what, f"it seems to be a secret and was left out; {remedy}", Weight.LOSS)
