"""What earlier runs found, kept in ``.bench/mutation``: who noticed each change, and what each test reads.

Nothing is believed without asking: a change that a test noticed is noticed only while that test notices it again
(unless neither the monitor nor any test was touched). A change that nothing noticed is shown again to every test of a
file that was touched since, and to all of them when the monitor was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.mutation.reach import Reach
from benchmarks.mutation.trial import TESTS, Trial
from losswatch_server import monitor

Hashes = Mapping[str, str]
"""File of tests -> a hash of it."""


def of_files(files: Iterable[Path]) -> str:
    """A hash of the files' contents."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def monitors_hash() -> str:
    """Of the monitor and of what its tests share."""
    package, shared = Path(monitor.__file__).parent, TESTS / "monitor"
    files = [*package.rglob("*.py"), *package.rglob("*.json"), *shared.rglob("*.py")]
    return of_files(sorted(file for file in files if not file.name.startswith("test_")))


@dataclass(slots=True)
class Kept:
    """The file of one folder, read; ``add`` writes."""

    folder: Path
    hashes: Hashes
    """Of the files of tests, as they are now."""
    monitor: str
    trials: dict[str, Trial] = field(default_factory=dict)
    _asked: dict[str, tuple[str, Hashes]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, hashes: Hashes, monitor: str) -> Kept:
        """What is kept in a folder; empty where nothing is."""
        kept = cls(folder, hashes, monitor)
        file = folder / "trials.jsonl"
        for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
            of = json.loads(line)
            kept.trials[of["name"]] = Trial(of["name"], of["noticed_by"])
            kept._asked[of["name"]] = of["monitor"], of["asked"]
        return kept

    def add(self, trial: Trial) -> None:
        """Keep one more trial, of all tests that there are now."""
        self.trials[trial.name] = trial
        self._asked[trial.name] = self.monitor, self.hashes
        line = {"name": trial.name, "noticed_by": trial.noticed_by, "monitor": self.monitor, "asked": self.hashes}
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "trials.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(line) + "\n")

    def touched(self, name: str) -> set[str]:
        """The files of tests that this change has to be shown to (again)."""
        of, asked = self._asked.get(name, ("", {}))
        return {file for file, now in self.hashes.items() if of != self.monitor or asked.get(file) != now}

    def reach(self) -> dict[str, Reach]:
        """What each test reads, of the files that are as they were."""
        file = self.folder / "reach.json"
        known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        if known.get("monitor") != self.monitor:
            return {}
        return {
            node: Reach(seconds, frozenset(known["names"][number] for number in reads))
            for node, (seconds, reads) in known["tests"].items()
            if known["asked"].get(node.split("::")[0]) == self.hashes.get(node.split("::")[0])
        }

    def keep_reach(self, reach: Mapping[str, Reach]) -> None:
        """Keep what each test reads."""
        names: Sequence[str] = sorted({name for of in reach.values() for name in of.reads})
        number = {name: place for place, name in enumerate(names)}
        tests = {node: (round(of.seconds, 3), sorted(number[n] for n in of.reads)) for node, of in reach.items()}
        said = {"monitor": self.monitor, "asked": self.hashes, "names": names, "tests": tests}
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "reach.json").write_text(json.dumps(said), encoding="utf-8")
