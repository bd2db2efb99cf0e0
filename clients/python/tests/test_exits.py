"""How a script ends is how its run ends, also where nobody ends the run."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from service_stub import BadService


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "end"),
    [
        ("", {"state": "finished"}),
        ("raise ValueError", {"state": "failed", "error": "ValueError"}),
        ("raise KeyboardInterrupt", {"state": "cancelled"}),
    ],
)
def test_a_script_that_just_ends_still_delivers_and_says_how_it_ended(ending: str, end: dict[str, str]) -> None:
    with BadService() as service:
        script = f"""
            import losswatch
            run = losswatch.Run("a", url="{service.url}")
            for step in range(5):
                run.log(step, loss=1.0)
            {ending}
        """
        subprocess.run([sys.executable, "-c", textwrap.dedent(script)], stderr=subprocess.DEVNULL, timeout=60)
        assert service.steps == [0, 1, 2, 3, 4]
        assert service.requests[-1].json == end
