"""A few of the programs of ``make bench-programs``, against the real service: causes that are facts are named first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from benchmarks.programs.__main__ import ROOT, judged, service
from benchmarks.programs.programs import faults

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

PROGRAMS = {program.name: program for program in faults()}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not (ROOT / ".venv" / "bin" / "losswatch-server").exists():
        pytest.skip("the service is not installed: make test-frameworks installs it")
    folder: Path = tmp_path_factory.mktemp("service")
    with service(folder) as url:
        yield url


def test_there_are_thirty_programs_or_more_each_with_a_repaired_twin() -> None:
    assert len(PROGRAMS) >= 30
    assert all(program.faulty != program.repaired for program in PROGRAMS.values())


@pytest.mark.parametrize(
    "name",
    [
        "rings without activations",
        "softmax before cross entropy",
        "sigmoid behind a regression",
        "a table as it comes",
        "the optimiser never steps",
        "layers in a plain list",
    ],
)
def test_the_true_cause_of_a_faulty_program_is_named_first(name: str, address: str) -> None:
    program = PROGRAMS[name]
    outcome = judged(program.faulty, name.replace(" ", "-"), address)
    assert outcome.asked in {program.cause, *program.also}, outcome.report["headline"]


@pytest.mark.parametrize("name", ["rings without activations", "softmax before cross entropy", "a table as it comes"])
def test_its_repaired_twin_is_left_alone(name: str, address: str) -> None:
    outcome = judged(PROGRAMS[name].repaired, "twin-of-" + name.replace(" ", "-"), address)
    assert outcome.is_silent, outcome.watched
