"""What the client's tests share: a spool folder of their own, and no settings from outside."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = ("URL", "API_KEY", "PROJECT", "RUN", "DISABLED")
    for name in (*(f"LOSSWATCH_{setting}" for setting in settings), "RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOSSWATCH_SPOOL_DIR", str(tmp_path / "spool"))
