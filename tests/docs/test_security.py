"""SECURITY.md names tests that hold what it says; they exist."""

from __future__ import annotations

import re

import pytest

from docs.parts import ROOT

TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


def test_every_risk_names_a_test_that_holds_its_answer() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| API")]
    assert len(rows) == 10
    assert [row for row in rows if "`tests/" not in row] == []


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_the_named_test_is_there(file: str, name: str) -> None:
    assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")
