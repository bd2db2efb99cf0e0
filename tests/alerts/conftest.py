"""A story on an injected clock."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from alerts.story import Story


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    """In memory where the system has such a place: these tests are about time, not about disks."""
    fast = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=fast if fast.is_dir() else tmp_path) as folder:
        yield Story(Path(folder))
