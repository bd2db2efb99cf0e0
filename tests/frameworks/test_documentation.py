"""Every block of the page on frameworks runs as it stands, against a service that stores what it is sent."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import losswatch

pytestmark = pytest.mark.frameworks

PAGE = Path(__file__).parents[2] / "clients" / "python" / "FRAMEWORKS.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
IMPORTS = re.compile(r"^import (\w+)|^from (\w+)", re.MULTILINE)


def frameworks(block: str) -> list[str]:
    return [one or other for one, other in IMPORTS.findall(block) if (one or other) not in ("losswatch", "os")]


@pytest.mark.parametrize("integration", sorted(losswatch._INTEGRATIONS))
def test_every_integration_has_a_block(integration: str) -> None:
    assert any(f"losswatch.{integration}." in block for block in BLOCKS)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: "-".join(frameworks(block)) or "none")
def test_a_block_runs_as_it_stands_and_its_losses_arrive(block: str, service: Any, tmp_path: Path) -> None:
    for name in frameworks(block):
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    environment = {**os.environ, "LOSSWATCH_URL": service.url, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    assert "not measured" not in done.stderr
    if "preflight" not in block:
        assert sum("loss" in point for point in service.stored) >= 10
        assert service.requests[-1].path.endswith("/finish"), done.stderr
