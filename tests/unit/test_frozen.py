"""Classes of values behave as frozen dataclasses do, which the library's own functions and pickles rely on."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import field
from typing import Any

import pytest

from ondemand_pkg.frozen import frozen


@frozen
class Point:
    x: int
    y: int = 2
    seen: dict[str, str] = field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Model:
    x: int
    y: int = 2
    seen: dict[str, str] = field(default_factory=dict)


@frozen
class Pair:
    left: str
    right: str


@frozen
class Even:
    number: int

    def __post_init__(self) -> None:
        if self.number % 2:
            raise ValueError(f"{self.number} is odd")


@frozen
class Alone:
    name: str

    __eq__, __hash__ = object.__eq__, object.__hash__

    def __repr__(self) -> str:
        return self.name


@pytest.mark.parametrize("made", [
    lambda cls: cls(1), lambda cls: cls(1, 3), lambda cls: cls(y=4, x=3), lambda cls: cls(1, seen={"a": "b"}),
    lambda cls: cls(), lambda cls: cls(1, 2, {}, 4), lambda cls: cls(1, x=1), lambda cls: cls(1, z=1)])
def test_values_are_made_as_those_of_a_dataclass_are(made: Callable[[Any], Any]) -> None:
    try:
        expected = vars(made(Model))
    except TypeError:
        with pytest.raises(TypeError, match="Point"):
            made(Point)
    else:
        assert vars(made(Point)) == expected


def test_values_are_equal_where_their_class_and_all_fields_are() -> None:
    assert Pair("a", "b") == Pair("a", "b") != Pair("a", "c")
    assert Point(1) == Point(1) != Point(2)
    assert Point(1) != Model(1)  # type: ignore[comparison-overlap] # that is what is tested
    assert len({Pair("a", "b"), Pair("a", "b"), Pair("b", "a")}) == 2
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point(1))


def test_no_two_values_share_what_a_default_makes() -> None:
    assert Point(1).seen is not Point(1).seen


def test_a_value_can_t_be_changed() -> None:
    point = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="'x'"):
        point.x = 2  # type: ignore[misc] # that is what is tested
    with pytest.raises(dataclasses.FrozenInstanceError, match="'y'"):
        del point.y
    assert point == Point(1)


def test_a_value_is_shown_by_its_fields_unless_its_class_shows_it() -> None:
    assert repr(Pair("a", "b")) == "Pair(left='a', right='b')"
    assert repr(Alone("a")) == "a"


def test_a_class_s_own_comparison_stays() -> None:
    alone = Alone("a")
    assert alone == alone != Alone("a")
    assert len({alone, Alone("a")}) == 2


def test_what_a_class_checks_is_checked_however_a_value_is_made() -> None:
    assert dataclasses.replace(Even(2), number=4) == Even(4)
    with pytest.raises(ValueError, match="3 is odd"):
        Even(3)
    with pytest.raises(ValueError, match="3 is odd"):
        dataclasses.replace(Even(2), number=3)


def test_the_library_s_functions_take_a_value() -> None:
    assert dataclasses.replace(Point(1), y=5) == Point(1, 5)
    assert [each.name for each in dataclasses.fields(Point)] == ["x", "y", "seen"]
    assert pickle.loads(pickle.dumps(Point(1, 5, {"a": "b"}))) == Point(1, 5, {"a": "b"})
