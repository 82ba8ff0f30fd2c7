"""Validators of the core's values. Each error names what came and what was expected."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import attrs

from bargein.errors import OptionError

__all__ = [
    "epoch",
    "flag",
    "number_in",
    "one_of",
    "optional_instance",
    "positive_seconds",
    "probability",
    "seconds",
    "whole",
    "whole_or_zero",
]

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def _is_number(value: object) -> bool:
    """Tell a finite real number, NumPy's too; bool is an int to Python, and never meant here."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond float
        return False


def _expect(test: Callable[[Any], bool], expected: str) -> Validator:
    def validate(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not test(value):
            raise OptionError(f"{attribute.name} came as {value!r}; expected {expected}")

    return validate


def number_in(test: Callable[[Any], bool], expected: str) -> Validator:
    """Return a validator of finite numbers within the range that ``expected`` describes."""
    return _expect(lambda value: _is_number(value) and test(value), expected)


def one_of(values: tuple[Any, ...]) -> Validator:
    """Return a validator of members of ``values``."""
    return _expect(lambda v: v in values, " or ".join(str(getattr(v, "value", v)) for v in values))


def optional_instance(name: str, value: object, kind: type) -> None:
    """Raise :class:`~bargein.errors.OptionError` for an argument of another type but ``None``."""
    if value is not None and not isinstance(value, kind):
        raise OptionError(f"{name} came as {value!r}; expected {kind.__name__}(…), or None")


seconds = number_in(lambda v: v >= 0, "seconds >= 0")
positive_seconds = number_in(lambda v: v > 0, "seconds > 0")
epoch = number_in(lambda _: True, "a finite number of epoch seconds")
probability = number_in(lambda v: 0 <= v <= 1, "a probability from 0 to 1")
flag = _expect(lambda v: isinstance(v, bool), "True or False")
whole = number_in(lambda v: isinstance(v, Integral) and int(v) >= 1, "a whole number >= 1")
whole_or_zero = number_in(lambda v: isinstance(v, Integral) and int(v) >= 0, "a whole number >= 0")
