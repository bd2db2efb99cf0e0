"""How far a watcher came, so that it goes on there when it is started again."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import NamedTuple, Optional, Tuple

from losswatch.spool_folder import default_folder


class Progress(NamedTuple):
    """``identity`` tells the file from another of the same name; up to ``place`` (attempt, step) all is stored."""

    writer: str
    run: str
    place: Optional[Tuple[int, int]]
    identity: Optional[Tuple[int, int]]


def load(key: Tuple[str, ...]) -> Optional[Progress]:
    """What was kept of a watched path under a name at a service; None where nothing is, or nothing that can be read."""
    try:
        kept = json.loads(_file(key).read_text(encoding="utf-8"))
        place, identity = kept.get("place"), kept.get("identity")
        return Progress(
            str(kept["writer"]),
            str(kept["run"]),
            None if place is None else (int(place[0]), int(place[1])),
            None if identity is None else (int(identity[0]), int(identity[1])),
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError, RuntimeError):
        return None


def save(key: Tuple[str, ...], progress: Progress) -> None:
    """Keeps it. A disk that takes nothing costs only that points are reported twice, which changes nothing."""
    with contextlib.suppress(OSError, RuntimeError):
        path = _file(key)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(progress._asdict()), encoding="utf-8")
        fresh.replace(path)


def _file(key: Tuple[str, ...]) -> Path:
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]
    return default_folder().parent / "watched" / f"{digest}.json"
