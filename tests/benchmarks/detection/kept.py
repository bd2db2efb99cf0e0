"""The trained runs, kept in files outside of git: trained once, read in seconds.

``python -m benchmarks.detection.kept develop test`` trains what is missing, over processes; it can be stopped and
started again. A file's name holds a hash of the code that made it, so that no run of older code is ever read.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.detection.halves import HALVES, TORCH, Unit, units
from benchmarks.detection.labels import LabelledRun, run_json, run_of
from benchmarks.detection.seen_by_code import completed

FOLDER = Path(os.environ.get("LOSSWATCH_ZOO", Path(__file__).parents[3] / ".bench" / "zoo"))
SIZE = {"develop": 3, "test": 1}
"""Seeds a family at full size."""
JOBS = min(8, os.cpu_count() or 1)


def file_of(unit: Unit, folder: Path = FOLDER) -> Path:
    """Where a unit's runs are kept."""
    return folder / unit.half / f"{unit.stem}-{unit.key()}.jsonl.gz"


def keep(unit: Unit, folder: Path = FOLDER) -> tuple[int, float]:
    """Train a unit and write its file: how many runs, in how many seconds. Older files of the unit are removed."""
    started, left_out = time.perf_counter(), Counter[str]()
    target = file_of(unit, folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(f".{os.getpid()}.part")
    count = 0
    with gzip.open(part, "wt", compresslevel=3) as lines:
        for run in unit.runs(left_out):
            lines.write(json.dumps(run_json(run)) + "\n")
            count += 1
        seconds = time.perf_counter() - started
        lines.write(json.dumps({"unit": unit.stem, "left_out": dict(left_out), "seconds": round(seconds, 1)}) + "\n")
    for old in target.parent.glob(f"{unit.stem}-*.jsonl.gz"):
        old.unlink()
    part.replace(target)
    return count, seconds


def _kept(unit: Unit) -> tuple[Unit, int, float]:
    return unit, *keep(unit)


def build(half: str, size: int, *, jobs: int = JOBS, torch: bool = False) -> None:
    """Train what is missing of a half: the NumPy families, or with ``torch`` the ones in PyTorch alone."""
    wanted = [unit for unit in units(half, size) if (unit.kind == TORCH) is torch]
    missing = [unit for unit in wanted if not file_of(unit).is_file()]
    print(f"{half}: {len(missing)} of {len(wanted)} units are to be trained", flush=True)
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for unit, count, seconds in pool.imap_unordered(_kept, missing):
            print(f"  {unit.stem}: {count} runs in {seconds:.0f} s", flush=True)


def files(half: str, size: int) -> list[Path]:
    """The files of a half that are there. FileNotFoundError where one of the NumPy families is missing."""
    wanted = {unit: file_of(unit) for unit in units(half, size)}
    missing = [unit.stem for unit, file in wanted.items() if not file.is_file() and unit.kind != TORCH]
    if missing:
        raise FileNotFoundError(f"make zoo trains what is missing of the {half} half: {', '.join(missing)}")
    return [file for file in wanted.values() if file.is_file()]


def read(paths: Iterable[Path]) -> Iterator[LabelledRun]:
    """The runs of kept files."""
    for path in paths:
        with gzip.open(path, "rt") as lines:
            for line in lines:
                if "label" in (run := json.loads(line)):
                    yield completed(run_of(run))


def left_out(paths: Iterable[Path]) -> Counter[str]:
    """What was left out of kept files, by reason."""
    counted: Counter[str] = Counter()
    for path in paths:
        with gzip.open(path, "rt") as lines:
            for line in lines:
                if line.startswith('{"unit"'):
                    counted.update(json.loads(line)["left_out"])
    return counted


def parsed(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; without a half, both."""
    parser = argparse.ArgumentParser(prog="benchmarks.detection.kept", description=__doc__)
    parser.add_argument("halves", nargs="*", metavar="{develop,test}")
    parser.add_argument("--size", type=int, help="seeds a family; without it the full size")
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--torch", action="store_true", help="the families in PyTorch, and no others")
    arguments = parser.parse_args(given)
    arguments.halves = arguments.halves or list(HALVES)
    if not set(arguments.halves) <= set(HALVES):
        parser.error(f"the halves are {' and '.join(HALVES)}")
    if arguments.torch and importlib.util.find_spec("torch") is None:
        parser.error("torch is not installed here; make zoo-torch uses the environment of the frameworks")
    return arguments


def main() -> None:
    """Train what is missing."""
    arguments = parsed()
    for half in arguments.halves:
        build(half, arguments.size or SIZE[half], jobs=arguments.jobs, torch=arguments.torch)


if __name__ == "__main__":
    main()
