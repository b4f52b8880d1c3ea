"""GPUs that a container gets.

Knows what a request for devices consists of and when the engine's command can ask for the same; hides the syntax of `--gpus`.
Source: docker-create(1), the engine's API (DeviceRequest).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_GPU = "gpu"
ALL = "-1"  # as the engine counts


def option(capabilities: Sequence[str], ids: Sequence[str] = (), count: str = "", driver: str = "",
           options: Mapping[str, str] | None = None) -> str:
    """Return the option that asks for GPUs: those of ``ids``, else ``count`` of them, all where that is empty or ALL.

    Raises ValueError where the devices are none.
    """
    if _GPU not in capabilities:
        raise ValueError("no option of the engine's command asks for other devices than GPUs")
    others = [capability for capability in capabilities if capability != _GPU]  # the engine's command adds this one
    fields = [
        f"device={','.join(ids)}" if ids else f"count={'all' if count in ('', ALL) else count}",
        *([f"driver={driver}"] if driver else []),
        *([f"capabilities={','.join(others)}"] if others else []),
        *(["options=" + ",".join(f"{name}={value}" for name, value in options.items())] if options else []),
    ]
    if fields == ["count=all"]:
        return "--gpus=all"
    return "--gpus=" + ",".join(f'"{field}"' if "," in field else field for field in fields)
