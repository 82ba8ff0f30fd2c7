"""The tree of errors: what catches what, and what each carries."""

from __future__ import annotations

import pytest

from bargein import errors


@pytest.mark.parametrize("name", errors.__all__)
def test_one_root_catches_all(name: str) -> None:
    assert issubclass(getattr(errors, name), errors.BargeinError)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.OptionError, ValueError),
        (errors.FrameError, ValueError),
        (errors.AudioFileError, ValueError),
        (errors.DatasetError, ValueError),
        (errors.StateError, RuntimeError),
        (errors.MissingExtraError, ImportError),
    ],
)
def test_a_usage_error_is_also_a_builtin_one(error: type[Exception], builtin: type) -> None:
    assert issubclass(error, errors.UsageError)
    assert issubclass(error, builtin)


@pytest.mark.parametrize(
    "error",
    [
        errors.APIConnectionError,
        errors.APITimeoutError,
        errors.APIStatusError,
        errors.ProtocolError,
    ],
)
def test_the_other_sides_faults_are_no_usage_errors(error: type[Exception]) -> None:
    assert issubclass(error, errors.APIError)
    assert not issubclass(error, errors.UsageError)


def test_a_missing_extra_says_how_to_get_it() -> None:
    error = errors.MissingExtraError("drawing a call", "plot")

    assert str(error) == "drawing a call needs an extra: pip install 'bargein[plot]'"
    assert error.extra == "plot"


def test_an_api_error_carries_body_and_retryable() -> None:
    plain = errors.APIError("gone")
    told = errors.APIConnectionError("gone", body="overloaded", retryable=False)

    assert (str(plain), plain.message, plain.body, plain.retryable) == ("gone", "gone", None, True)
    assert (told.body, told.retryable) == ("overloaded", False)


def test_a_status_error_carries_the_status() -> None:
    error = errors.APIStatusError("refused", status_code=401, body="bad token", retryable=False)

    assert (error.status_code, error.body, error.retryable) == (401, "bad token", False)
