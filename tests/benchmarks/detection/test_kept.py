"""Trained runs are kept in files named by the code that made them, and looks at the test half are counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.detection import kept, looks
from benchmarks.detection.__main__ import main
from benchmarks.detection.develop_half.games import game_run
from benchmarks.detection.halves import TORCH, TORCH_BASES, Unit, meaning, units
from benchmarks.detection.labels import LabelledRun, run_json

SUMMARY: dict[str, Any] = {
    "runs": 3,
    "false_alarm_rate": {"share": 0.125},
    "recall_macro": {"share": None},
    "cause_at_1": {"share": 0.5},
}


@dataclass(frozen=True)
class OneGame:
    """A unit of one run."""

    code: str
    half: str = "develop"
    stem: str = "games-one-0"

    def key(self) -> str:
        return self.code

    def runs(self, left_out: Counter[str]) -> Iterator[LabelledRun]:
        left_out["unaffected"] += 2
        yield a_game()


def a_game() -> LabelledRun:
    """Ten points, the last of them NaN."""
    import numpy as np

    losses = np.array([*np.linspace(1, 0.1, 9), np.nan])
    return game_run("one-0", "name", losses, np.ones(10), {"reward": losses}, broken_from=9)


def test_a_kept_unit_reads_back_the_same_and_says_what_was_left_out(tmp_path: Path) -> None:
    count, _ = kept.keep(OneGame("a" * 12), tmp_path)  # type: ignore[arg-type]
    file = kept.file_of(OneGame("a" * 12), tmp_path)  # type: ignore[arg-type]
    assert count == 1
    (run,) = kept.read([file])
    assert json.dumps(run_json(run)) == json.dumps(run_json(a_game()))
    assert kept.left_out([file]) == {"unaffected": 2}


def test_other_code_has_another_file_and_takes_the_old_ones_place(tmp_path: Path) -> None:
    old, new = OneGame("a" * 12), OneGame("b" * 12)
    kept.keep(old, tmp_path)  # type: ignore[arg-type]
    kept.keep(new, tmp_path)  # type: ignore[arg-type]
    assert not kept.file_of(old, tmp_path).exists()  # type: ignore[arg-type]
    assert kept.file_of(new, tmp_path).is_file()  # type: ignore[arg-type]


@pytest.mark.slow
def test_every_unit_has_a_file_of_its_own_and_keys_follow_the_code() -> None:
    of = [*units("develop", 2), *units("test", 2)]
    assert len({kept.file_of(unit) for unit in of}) == len(of)
    words = {unit.key() for unit in units("test", 1)}
    assert not words & {unit.key() for unit in units("develop", 1) if unit.kind != TORCH}
    assert Unit(half="test", kind="program", name="Views", seed=0).key() in words


def test_only_what_a_module_does_trains_anew() -> None:
    plain = "import a\n\ndef f(x):\n    return x + 1\n"
    told = 'from b import a  # moved\n\n\ndef f(x):\n    """One more."""\n    return (x + 1)\n'
    assert meaning(plain) == meaning(told)
    assert meaning(plain) != meaning(plain.replace("1", "2"))


def test_a_half_that_is_not_trained_is_missed_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "file_of", lambda unit: tmp_path / unit.stem)
    with pytest.raises(FileNotFoundError, match=r"make zoo .*Signals"):
        kept.files("develop", 1)


def test_looks_are_numbered_and_want_a_reason(tmp_path: Path) -> None:
    file = tmp_path / "looks.md"
    looks.note("before the release", SUMMARY, file)
    looks.note("a second | look", SUMMARY, file)
    first, second = file.read_text().splitlines()[-2:]
    assert first.startswith("| 1 |")
    assert first.endswith("| 3 | 12.5 % | - | 50.0 % | before the release |")
    assert second.startswith("| 2 |")
    assert second.endswith("| a second / look |")
    with pytest.raises(ValueError, match="WHY"):
        looks.note("  ", SUMMARY, file)


def test_the_test_half_is_not_judged_without_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["test"])
    assert "looks.md" not in capsys.readouterr().out


def test_the_bases_in_pytorch_are_named_once_in_each_half() -> None:
    assert not set(TORCH_BASES["develop"]) & set(TORCH_BASES["test"])


def test_without_a_half_both_are_trained() -> None:
    assert kept.parsed([]).halves == ["develop", "test"]
    assert kept.parsed(["test", "--size", "2"]).halves == ["test"]
    with pytest.raises(SystemExit):
        kept.parsed(["middle"])
