"""What a fit needs of each kept file of the zoo, folded once and read again in seconds.

Folding ten thousand logs takes a quarter of an hour; what measures and evidence make of them takes a minute or two. So
the finding, the memory and the context of each log are kept beside the zoo, file by file, under a hash of the code that
made them: measures, evidence, priors and magnitudes can change and be fitted again without a fold, and a fold that was
stopped goes on. A changed rule folds anew.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import pickle
import zlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from benchmarks.causes import cases
from benchmarks.causes.cases import Case, Logged, case_of, logs_of
from benchmarks.detection import kept, seen_by_code, ways
from losswatch_server import codec, monitor

RANKING = ("diagnosis", "advice", "replay", "diagnoses.py", "forecast.py", "learning_rate_limit.py", "report.py",
           "siblings.py")  # fmt: skip
"""What comes after the fold: changes there leave what is kept as it is."""


@cache
def key() -> str:
    """A hash of the code that folds and measures."""
    digest = hashlib.sha256()
    package = Path(monitor.__file__).parent
    files = [p for p in sorted(package.rglob("*.py")) if not p.relative_to(package).as_posix().startswith(RANKING)]
    files += [Path(codec.__file__).parent / "facts.py", Path(cases.__file__), Path(ways.__file__)]
    files += [Path(seen_by_code.__file__)]
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def kept_logs(file: Path) -> list[Logged]:
    """The logs of a file of the zoo: read where they are kept, else folded and kept."""
    folder = kept.FOLDER / "logs" / file.parent.name
    stem = file.name.removesuffix(".jsonl.gz")
    target = folder / f"{stem}-{key()}.pickle"
    if target.is_file():
        found: list[Logged] = pickle.loads(zlib.decompress(target.read_bytes()))
        return found
    found = [log for run in kept.read([file]) for log in logs_of(run)]
    folder.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(zlib.compress(pickle.dumps(found, protocol=5), 1))
    for old in folder.glob(f"{stem}-*.pickle"):
        old.unlink()
    part.replace(target)
    return found


def _cases(file: Path) -> list[Case]:
    return [case_of(log) for log in kept_logs(file)]


def collect(files: Sequence[Path], jobs: int) -> Iterator[Case]:
    """The cases of many files, over a few processes."""
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for found in pool.imap(_cases, files):
            yield from found
