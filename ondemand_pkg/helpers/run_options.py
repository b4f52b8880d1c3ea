"""The options of `run`, as the unit of the container's service gives them.

Knows each of them; hides how they are told apart.
"""


def arguments(argv: "Sequence[str]") -> "Options":
    pauses, by_log, is_companion, is_ready_at_once, with_proxy, left = False, False, False, False, False, list(argv)
    required: "List[str]" = []
    excluded: "Dict[str, float]" = {}
    metrics_directory, network_of, has_clients = None, "", False
    while left:
        option = left.pop(0)
        if option == "--":
            break
        if option == "--require":
            required.append(left.pop(0))
        elif option == "--network-of":
            network_of = left.pop(0)
        elif option == "--exclude":
            name = left.pop(0)
            excluded[name] = float(left.pop(0))
        elif option == "--metrics":
            metrics_directory = left.pop(0)
        elif option == "--pause":
            pauses = True
        elif option == "--log":
            by_log = True
        elif option == "--companion":
            is_companion = True
        elif option == "--with-clients":
            has_clients = True
        elif option == "--with-proxy":
            with_proxy = True
        elif option == "--started":
            is_ready_at_once = True
        else:
            raise ValueError(option)
    return pauses, by_log, required, left, metrics_directory, is_companion, is_ready_at_once, with_proxy, network_of, excluded, (
        has_clients)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Sequence, Tuple

    Options = Tuple[bool, bool, List[str], List[str], Optional[str], bool, bool, bool, str, Dict[str, float], bool]
