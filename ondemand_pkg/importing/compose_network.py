"""Which services of a Compose project reach each other, and under which names.

Knows networks, aliases, names of containers, links and fixed addresses, and what the one bridge of all packages does not keep of
them; hides how a service joins a network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from ondemand_pkg.importing import compose_merge
from ondemand_pkg.importing.compose_file import EMPTY, ComposeFile
from ondemand_pkg.importing.compose_service import ComposeService
from ondemand_pkg.importing.notes import Note, Weight
from ondemand_pkg.importing.ports import BRIDGE, at_bridge
from ondemand_pkg.importing.yaml_lines import Located

DEFAULT = "default"


class Networks:
    """The networks of a project; services are named as the file names them."""

    def __init__(self, scope: ComposeFile, services: Mapping[str, Mapping[str, Located]]) -> None:
        self._scope = scope
        self._services = services
        self._of = {name: self._joined(keys) for name, keys in services.items()}
        self._links = {name: self._links_of(keys) for name, keys in services.items()}
        self._known: dict[tuple[str, str], list[str]] = {}

    def _joined(self, keys: Mapping[str, Located]) -> dict[str, Located]:
        if "network_mode" in keys:
            return {}
        return compose_merge.as_names(keys.get("networks", EMPTY)) or {DEFAULT: EMPTY}

    def of(self, name: str) -> list[str]:
        """Return the networks of a service."""
        return list(self._of[name])

    def names(self, name: str, viewer: str) -> list[str]:
        """Return the names by which one service reaches another, or itself; none where they share no network."""
        if (name, viewer) not in self._known:
            self._known[name, viewer] = self._names(name, viewer)
        return self._known[name, viewer]

    def speakers(self, has_word: Mapping[str, Callable[[str], bool]]) -> dict[str, list[str]]:
        """Return for each service the others that may speak of it; ``has_word`` tells of each which words it has."""
        named: dict[str, set[str]] = {}
        for name, keys in self._services.items():
            own = [name, *([self._scope.text(keys["container_name"])] if _is_set(keys, "container_name") else [])]
            for joined in self._of[name].values():
                own += self._scope.texts(joined.value.get("aliases", EMPTY)) if isinstance(joined.value, dict) else []
            for word in own:
                named.setdefault(word, set()).add(name)
        found: dict[str, list[str]] = {name: [] for name in self._services}
        for viewer, has in has_word.items():
            linked = {target for target, alias in self._links[viewer] if has(alias)}
            for name in sorted(linked.union(*(named[word] for word in named if has(word)))):
                if name != viewer and name in found:
                    found[name].append(viewer)
        return found

    def _names(self, name: str, viewer: str) -> list[str]:
        shared = [network for network in self._of[name] if network in self._of[viewer]]
        links = [alias for target, alias in self._links[viewer] if target == name]
        if not shared:
            return links
        keys = self._services[name]
        found = [name, *([self._scope.text(keys["container_name"])] if _is_set(keys, "container_name") else []), *links]
        for network in shared:
            joined = self._of[name][network]
            if isinstance(joined.value, dict):
                found += self._scope.texts(joined.value.get("aliases", EMPTY))
        return list(dict.fromkeys(found))

    def _links_of(self, keys: Mapping[str, Located]) -> list[tuple[str, str]]:
        links = keys.get("links", EMPTY)
        parts = [text.partition(":") for text in self._scope.texts(links)] if isinstance(links.value, list) else []
        return [(target, alias or target) for target, _, alias in parts]

    def links(self, viewer: str) -> list[tuple[str, str]]:
        """Return the targets of a service's links, each with the name that it has for it."""
        return self._links[viewer]

    def addresses(self) -> dict[str, str]:
        """Return the fixed addresses, each with its service."""
        return {self._scope.text(joined.value[key]): name for name, networks in self._of.items() for joined in networks.values()
                if isinstance(joined.value, dict) for key in ("ipv4_address", "ipv6_address") if _is_set(joined.value, key)}

    def is_internal(self, network: str) -> bool:
        """Tell whether nothing outside a network reaches what is in it, nor is reached."""
        internal = self._scope.table("networks", network).get("internal", EMPTY)
        return internal.value is not None and self._scope.flag(internal)

    def is_external(self, network: str) -> bool:
        """Tell whether others make a network, so that services of other projects may be in it."""
        return self._scope.is_external("networks", network)

    def separated(self) -> list[tuple[str, str]]:
        """Return pairs of services that share no network, and would reach each other on one bridge."""
        names = [name for name, networks in self._of.items() if networks]
        return [(one, other) for index, one in enumerate(names) for other in names[index + 1:]
                if not set(self._of[one]) & set(self._of[other])]


def _is_set(keys: Mapping[str, Located], key: str) -> bool:
    return key in keys and keys[key].value is not None


def lost(networks: Networks, services: Mapping[str, ComposeService], path: str) -> Iterator[Note]:
    """Say what the one bridge does not keep: to the services what is theirs, and yield what is all theirs."""
    for name, service in services.items():
        located = service.keys.get("networks", EMPTY)
        if networks.of(name) and all(map(networks.is_internal, networks.of(name))):
            service.note(located, "networks internal",
                         "its networks are internal, and a package has none: the container reaches what the host reaches; a "
                         "firewall can narrow that. Nobody outside the host reaches what it exposes", Weight.LOSS)
        external = [network for network in networks.of(name) if networks.is_external(network)]
        if external:
            inside = service.draft.values.get("expose", ())
            port = at_bridge(inside[0]) if inside else f"{BRIDGE}:PORT:PORT"
            service.note(located, f"networks {', '.join(external)}",
                         f"containers of other projects in it reach {name} no more: packages do by "
                         f"links = [\"{service.draft.name}\"]; others where ports has \"{port}\" and they "
                         f"extra_hosts: ['{name}:host-gateway']",
                         Weight.LOSS)
    apart = [pair for pair in networks.separated() if pair[0] in services and pair[1] in services]
    if apart:
        shown = ", ".join(f"{one} and {other}" for one, other in apart[:3]) + (" and others" if len(apart) > 3 else "")
        yield Note(path, "networks", f"services that share no network ({shown}) have one bridge here: each reaches the other's "
                                     "ports by its address, though not by name", Weight.LOSS)
    for address, name in networks.addresses().items():
        for service in services.values():
            _tell_address(service, address, name)


def _tell_address(service: ComposeService, address: str, name: str) -> None:
    """Say where a service speaks of an address that another one has in a network of the project."""
    pattern = re.compile(rf"(?<![0-9A-Fa-f.:]){re.escape(address)}(?![0-9A-Fa-f.])")
    values = service.draft.values
    if f"--dns={address}" in service.options():
        service.options().remove(f"--dns={address}")
        service.note(service.keys["dns"], f"dns {address}", f"left out: it is the address of {name} in a network of the project, "
                     f"which no package has; publish port 53 of {name}, and name where it listens", Weight.LOSS)
    where = [variable for variable, value in values.get("env", {}).items() if pattern.search(value)]
    where += ["command"] * any(pattern.search(word) for word in values.get("command", ()))
    if where:
        service.note(service.keys.get("environment", service.keys.get("command", EMPTY)), f"address {address}",
                     f"{', '.join(where)} has the address of {name} in a network of the project, which no package has: write "
                     f"{name} for it", Weight.LOSS)
