"""What the service is told of the exception that ended a run."""

from __future__ import annotations

import pytest

from losswatch.failures import LONGEST, describe


class BrokenError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


TOLD: list[tuple[BaseException | str | None, str | None]] = [
    (None, None),
    ("", None),
    (ValueError("too large\nsecond line"), "ValueError: too large"),
    (KeyError("lr"), "KeyError: 'lr'"),
    (AssertionError(), "AssertionError"),
    (BrokenError(), "BrokenError"),
    ("out of memory\n...", "out of memory"),
    (RuntimeError("GET https://me:pw@host/x failed"), "RuntimeError: GET https://[redacted]@host/x failed"),
    (RuntimeError("401 for api_key=abc123"), "RuntimeError: 401 for api_key=[redacted]"),
    (RuntimeError("Authorization: Bearer abc.def-ghi"), "RuntimeError: Authorization: [redacted]"),
    (RuntimeError("key hf_abcdefghijklmnopqrst"), "RuntimeError: key [redacted]"),
    (RuntimeError("{'password': 'hunter2'}"), "RuntimeError: {'password': '[redacted]'}"),
    (OSError(28, "No space left on device", "/data/checkpoints/run-7/model.pt"),
     "OSError: [Errno 28] No space left on device: '/data/checkpoints/run-7/model.pt'"),
    (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
     "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB."),
]  # fmt: skip


@pytest.mark.parametrize(("error", "told"), TOLD, ids=range(len(TOLD)))
def test_an_error_is_its_type_and_first_line_without_secrets(error: BaseException | str | None, told: str) -> None:
    assert describe(error) == told


def test_a_long_error_is_cut() -> None:
    text = describe(ValueError("word " * 1_000))
    assert text is not None
    assert len(text) == LONGEST
