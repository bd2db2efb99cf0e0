"""What the tests of integrations share: a service that remembers what it was sent, and what that was, step by step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from service_stub import BadService

import losswatch

os.environ["OMP_NUM_THREADS"] = "1"  # models of a hundred weights: a second thread only waits for the first


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in ("LOSSWATCH_API_KEY", "LOSSWATCH_PROJECT", "LOSSWATCH_RUN", "RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOSSWATCH_SPOOL_DIR", str(tmp_path / "spool"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    yield
    losswatch.finish()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[BadService]:
    with BadService() as stub:
        monkeypatch.setenv("LOSSWATCH_URL", stub.url)
        yield stub
