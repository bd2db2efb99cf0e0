"""What lies at a path: a log, a file of a trainer, or a folder of one or many runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional

from losswatch.cli.sources import EventFiles, GrowingFile, Source, WholeFile, event_files
from losswatch_logs import Columns

_WRITTEN_ANEW = re.compile(r"metrics\.csv|trainer_state\.json|.*\.(?:json|ipynb)", re.IGNORECASE)
_LOG = re.compile(r".*\.(?:log|out|txt|jsonl|ndjson|csv|tsv)(?:\.gz)?", re.IGNORECASE)
_GENERIC = re.compile(
    r"(?:version|checkpoint|run|exp|epoch|step)?[-_]?\d*|metrics|trainer_state|train|training|log|logs|output|out|stdout|"
    r"stderr|history|results|events|events\.out\.tfevents.*|checkpoints?|lightning_logs|tb|tensorboard|runs|default",
    re.IGNORECASE,
)
"""Names that files of every training have: the folder's says more."""
_TRAINERS = ("metrics.csv", "trainer_state.json")


class Found(NamedTuple):
    """Something that one run was written to, and the name that it suggests."""

    path: Path
    name: str


def run_at(path: Path) -> Optional[Found]:
    """The run at a path, of a folder's the one that was written last; None where nothing is to be found so far."""
    if not path.is_dir():
        return Found(path, suggested(path))
    return max(runs_in(path), key=lambda each: _newest(each.path), default=None)


def source_of(path: Path, columns: Columns) -> Source:
    """What follows the file or the folder of a run."""
    if path.is_dir():
        return EventFiles(iter(()), path, columns)
    if "tfevents" in path.name:
        return EventFiles(iter([path]), path, columns)
    return WholeFile(path, columns) if _WRITTEN_ANEW.fullmatch(path.name) else GrowingFile(path, columns)


def runs_in(folder: Path) -> List[Found]:
    """The runs that were written below a folder: of what a trainer writes twice, the event files alone."""
    holders = {path.parent for path in folder.rglob("*tfevents*")}
    roots = {parent.parent if _is_part(parent, folder) else parent for parent in holders}
    found = [Found(root, suggested(root)) for root in sorted(roots)]
    if found:
        return found
    for name in _TRAINERS:
        paths = list(folder.rglob(name))
        if name == "trainer_state.json":
            paths = _latest_states(paths)
        found += [Found(path, suggested(path)) for path in sorted(paths)]
    if found:
        return found
    consoles = sorted(folder.rglob("files/output.log"))  # what W&B keeps of a run's console, also offline
    if consoles:
        return [Found(path, path.parent.parent.name) for path in consoles]
    return [Found(path, suggested(path)) for path in sorted(folder.iterdir()) if _LOG.fullmatch(path.name)]


def suggested(path: Path) -> str:
    """A name for the run at a path: the first part of it, from its end, that is not every training's."""
    path = path.resolve()
    parts = [path.stem if path.is_file() or "." in path.name else path.name, *(each.name for each in path.parents)]
    name = next((part for part in parts if part and not _GENERIC.fullmatch(part)), parts[0])
    version = next((part for part in parts[:3] if re.fullmatch(r"version_\d+", part)), None)
    return f"{name}-{version}" if version else name


def _is_part(parent: Path, folder: Path) -> bool:
    return parent != folder and parent.name in ("train", "training", "validation", "val", "valid", "eval", "test")


def _latest_states(paths: List[Path]) -> List[Path]:
    """Of the states in the checkpoints of one training, the last, which holds the whole history."""
    by_output: dict[Path, List[Path]] = {}
    for path in paths:
        output = path.parent.parent if path.parent.name.startswith("checkpoint-") else path.parent
        by_output.setdefault(output, []).append(path)
    return [max(group, key=lambda path: path.stat().st_mtime) for group in by_output.values()]


def _newest(path: Path) -> float:
    files: Iterator[Path] = event_files(path) if path.is_dir() else iter([path])
    return max((file.stat().st_mtime for file in files), default=0.0)
