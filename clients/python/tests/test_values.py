"""Values of any framework: held without waiting, read later, never changed in between."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from losswatch.values import Unreadable, hold, read


class Tensor:
    """Behaves as a tensor of an eager framework does: it can be changed in place, and copied where it lies."""

    is_cuda = False

    def __init__(self, *values: float) -> None:
        self.values = list(values)

    def numel(self) -> int:
        return len(self.values)

    def detach(self) -> Tensor:
        return self

    def clone(self) -> Tensor:
        return Tensor(*self.values)

    def item(self) -> float:
        return self.values[0]


class Sharded(Tensor):
    """A tensor whose parts lie on several devices; to read it is a collective operation."""

    def full_tensor(self) -> Tensor:
        raise AssertionError("a collective from one rank alone hangs")

    def item(self) -> float:
        raise AssertionError("a collective from one rank alone hangs")


class Deleted:
    """A buffer that was given away: frameworks raise at any touch."""

    @property
    def detach(self) -> Any:
        raise RuntimeError("Array has been deleted.")


def test_a_tensor_changed_in_place_afterwards_keeps_the_logged_value() -> None:
    tensor = Tensor(1.5)
    held = hold(tensor)
    tensor.values[0] = 99.0
    assert read(held) == 1.5


def test_an_array_changed_in_place_afterwards_keeps_the_logged_value() -> None:
    array = np.array([1.5], np.float32)
    held = hold({"layer": array})
    array += 1
    assert read(held["layer"]) == 1.5


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        (0.1, 0.1),
        (np.float32(0.1), float(np.float32(0.1))),
        (np.float64("inf"), math.inf),
        (Fraction(1, 4), 0.25),
        (Tensor(2.0), 2.0),
    ],
)
def test_anything_with_one_number_in_it_is_read(value: Any, number: float) -> None:
    assert read(hold(value)) == number


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Tensor(1.0, 2.0), "2 elements"),
        (Sharded(1.0), "full_tensor()"),
        (Deleted(), "deleted"),
        (np.zeros(2), "size 1"),
        ("0.5", "str, not a number"),
        (b"1", "bytes, not a number"),
        (True, "bool, not a number"),
        ({"a": 1.0}, "dict, not a number"),
        (1j, "complex, not a number"),
        (10**400, "too large"),
    ],
)
def test_what_is_not_one_number_is_refused_with_a_reason(value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(").replace(")", r"\)")):
        read(hold(value))


def test_holding_never_raises() -> None:
    assert isinstance(hold(Deleted()), Unreadable)
