"""What installing the client brings along."""

from __future__ import annotations

from importlib.metadata import requires
from pathlib import Path

import losswatch


def test_a_training_environment_gets_httpx_and_nothing_it_never_runs() -> None:
    wanted = requires("losswatch") or []
    assert [need for need in wanted if "extra ==" not in need] == ["httpx>=0.27"]
    assert not (Path(losswatch.__file__).parent / "logs").exists()
