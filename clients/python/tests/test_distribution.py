"""What installing the client brings along."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from importlib.metadata import requires
from pathlib import Path

import pytest
from service_stub import BadService

import losswatch


def test_a_training_environment_gets_httpx_and_nothing_it_never_runs() -> None:
    wanted = requires("losswatch") or []
    assert [need for need in wanted if "extra ==" not in need] == ["httpx>=0.27"]
    assert not (Path(losswatch.__file__).parent / "logs").exists()


def test_what_a_training_loads_for_it_is_small() -> None:
    """httpx loads its command line, with rich and pygments, wherever those are installed, as they are here."""
    pytest.importorskip("rich")
    body = """
        import sys
        before = set(sys.modules)
        import losswatch
        assert not {"httpx", "hashlib", "inspect", "statistics"} & (set(sys.modules) - before)
        run = losswatch.Run("small", url=sys.argv[1], quiet=True)
        run.log(0, loss=1.0)
        assert run.flush()
        assert "httpx" in sys.modules
        assert not {"httpx._main", "rich", "pygments"} & set(sys.modules)
    """
    with BadService() as service:
        command = [sys.executable, "-c", textwrap.dedent(body), service.url]
        subprocess.run(command, check=True, timeout=60)
