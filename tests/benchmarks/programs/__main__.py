"""``make bench-programs``: trains every program and its twin against a real service and counts what is named first."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import torch

from benchmarks.programs.program import Plan, Program, run
from benchmarks.programs.programs import faults
from deploy.process import line_with_address

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Outcome:
    """What the service said of one training."""

    watched: tuple[tuple[str, str, str], ...]
    """Of each open finding: condition, severity and first cause."""
    asked: str | None
    """The first cause of whoever asks: of the findings, else of the first suspicion."""
    report: dict[str, Any]

    @property
    def first(self) -> str | None:
        """The first cause of the findings."""
        return next((cause for _, _, cause in self.watched if cause), None)

    @property
    def is_silent(self) -> bool:
        """Nothing but information was said."""
        return all(severity == "info" for _, severity, _ in self.watched)


@contextmanager
def service(data: Path) -> Iterator[str]:
    """The address of a real service: that of the project's own environment, or LOSSWATCH_URL."""
    if os.environ.get("LOSSWATCH_URL"):
        yield os.environ["LOSSWATCH_URL"]
        return
    command = [str(ROOT / ".venv" / "bin" / "losswatch-server"), "serve", "--port", "0", "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield line_with_address(process)
        finally:
            process.terminate()
            process.wait(30)


def judged(plan: Plan, name: str, url: str) -> Outcome:
    """Trains a plan and reads what is said of it."""
    finished = run(plan, name, url)
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        report = client.get(f"/v1/runs/{finished.name}/report").json()
        known = client.get(f"/v1/runs/{finished.name}").json().get("context", {})
        points = client.get(f"/v1/runs/{finished.name}/points", params={"limit": 10_000}).json()["points"]
        kept = [{key: value for key, value in point.items() if key in _MEASURED} for point in points]
        asked = client.post("/v1/diagnose", json={"context": known, "points": kept}).json()
    findings = [f for f in report["findings"] if not f.get("closed_by")]
    watched = tuple((f["condition"], f["severity"], _first(f)) for f in findings)
    named = next((cause for _, _, cause in watched if cause), None)
    said = named or next((cause for s in asked.get("suspicions") or () if (cause := _first(s))), None)
    return Outcome(watched, said, report)


_MEASURED = ("step", "loss", "grad_norm", "learning_rate", "validation_loss", "layers", "metrics", "epoch")


def _first(finding: dict[str, Any]) -> str:
    causes = finding.get("causes") or ()
    return str(causes[0]["cause"]) if causes else ""


def line(program: Program, faulty: Outcome, repaired: Outcome | None) -> str:
    """One row of the table."""
    right = {program.cause, *program.also}
    mark = "watched" if faulty.first in right else "asked" if faulty.asked in right else "MISSED"
    said = ", ".join(f"{condition}: {cause}" for condition, _, cause in faulty.watched) or f"asked: {faulty.asked}"
    alarm = "" if repaired is None or repaired.is_silent else f"  ALARM {repaired.watched}"
    return f"{mark:8} {program.name:42} {program.cause:24} {said}{alarm}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="programs whose name contains this")
    parser.add_argument("--reports", type=Path, help="keep every report here")
    given = parser.parse_args()
    torch.set_num_threads(1)
    named = watched = silent = 0
    twins: dict[int, Outcome] = {}
    programs = [program for program in faults() if given.only in program.name]
    with tempfile.TemporaryDirectory() as folder, service(Path(folder)) as url:
        for place, program in enumerate(programs):
            faulty = judged(program.faulty, f"faulty-{place}", url)
            repaired = twins.setdefault(id(program.repaired), judged(program.repaired, f"repaired-{place}", url))
            right = {program.cause, *program.also}
            watched += faulty.first in right
            named += faulty.asked in right
            silent += repaired.is_silent
            print(line(program, faulty, repaired), flush=True)
            if given.reports:
                given.reports.mkdir(parents=True, exist_ok=True)
                (given.reports / f"{place:02}.json").write_text(json.dumps(faulty.report, indent=1))
    count = len(programs)
    print(
        f"true cause first: {named} of {count} ({named / count:.0%}); in a finding: {watched}; twins silent: {silent}"
    )


if __name__ == "__main__":
    main()
