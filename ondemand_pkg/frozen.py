"""Classes of plain values: frozen, equal where all fields are equal, made from their fields in order or by name.

Knows how such a class behaves; hides how it comes about.  To everybody else, `dataclasses.replace` and type checkers among them,
each is a frozen dataclass.  `@dataclass(frozen=True)` compiles six functions for each class when its module is loaded, which was
a sixth of a build's time; these classes share theirs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field
from typing import Any, TypeAlias, TypeVar, dataclass_transform

_Class = TypeVar("_Class")
_Shape: TypeAlias = "tuple[tuple[str, ...], dict[str, Any], tuple[tuple[str, Callable[[], Any]], ...], tuple[str, ...]]"


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[_Class]) -> type[_Class]:
    """Make a class with annotated fields one of values; what its body defines itself stays.

    Once all fields are set, ``__post_init__`` is called where the class has it.
    """
    own = set(vars(cls))
    if "__eq__" in own:
        own.add("__hash__")  # the class's own, or none
    for name in ("__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__"):
        if name not in own:
            setattr(cls, name, vars(_Methods)[name])
    return dataclass(init=False, repr=False, eq=False)(cls)


class _Methods:
    """What all of them do; no object's class.  An object has its fields, in their order, and no other attributes."""

    def __init__(self: Any, *ordered: Any, **named: Any) -> None:
        names, defaults, factories, required = _shape(self.__class__)
        state = vars(self)  # __setattr__ sets nothing
        state.update(defaults)
        state.update(zip(names, ordered, strict=False))
        state.update(named)
        if len(ordered) > len(names) or len(state) > len(names) or not named.keys().isdisjoint(names[:len(ordered)]):
            raise TypeError(f"{type(self).__name__} has the fields {', '.join(names)}, each once")
        for name, factory in factories:
            if state[name] is MISSING:
                state[name] = factory()
        for name in required:
            if state[name] is MISSING:
                raise TypeError(f"{type(self).__name__} needs the field {name}")
        if hasattr(self, "__post_init__"):
            self.__post_init__()

    def __repr__(self) -> str:
        shown = (f"{name}={one!r}" for name, one in vars(self).items())
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))

    def __setattr__(self, name: str, _: Any) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")


@functools.cache
def _shape(cls: Any) -> _Shape:
    """Return the names of a class's fields, the default of each or MISSING, which have a factory, and which need to be given."""
    fields: dict[str, Field[Any]] = cls.__dataclass_fields__
    factories = tuple((name, one.default_factory) for name, one in fields.items() if one.default_factory is not MISSING)
    required = tuple(name for name, one in fields.items() if one.default is one.default_factory is MISSING)
    return tuple(fields), {name: one.default for name, one in fields.items()}, factories, required
