"""A real service on a free port, for examples to talk to."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.process import line_with_address


@contextmanager
def running_service(data: Path) -> Iterator[str]:
    """The address of a service whose data lies in a folder; it is stopped at the end."""
    command = [str(Path(sys.executable).parent / "losswatch-server"), "serve", "--port", "0", "--data", str(data)]
    command += ["--base-url", "https://losswatch.example.org"]  # without one, adding a target warns
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOSSWATCH_")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield line_with_address(process)
            process.terminate()
            process.wait(timeout=30)
        finally:
            process.kill()
