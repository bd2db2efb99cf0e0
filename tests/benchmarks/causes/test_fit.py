"""The fit finds what was put into made-up cases, and what is kept of a fold is what a fold gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.causes import fitting, kept_cases
from benchmarks.causes.__main__ import document, owed, temperatures
from benchmarks.causes.cases import Case, case_of, logs_of
from benchmarks.detection import kept
from benchmarks.detection.labels import Label, LabelledRun, write_corpus
from losswatch_server.monitor.diagnosis import magnitudes
from losswatch_server.monitor.diagnosis.engine import score, strengths
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.vocabulary import CauseName, Condition

ROW = "decay_strong"
"""A row for strong weight decay, which is not a fact."""


def case(number: int, cause: str, found: dict[str, float], family: str = "a", raised: bool = True) -> Case:
    return Case(
        f"run-{number}", family, "as is", "full", "plateau", cause, frozenset({cause}), "settings", raised, found,
    )  # fmt: skip


def made_up() -> list[Case]:
    """Of 240 runs a third have dead units, a third labels, a third a strong decay; a row is there with nearly all of
    the last."""
    cases = []
    for number in range(240):
        cause = ("dead_activations", "labels_uninformative", "weight_decay_too_strong")[number % 3]
        there = (number % 30 != 2) if number % 3 == 2 else (number % 30 == 0)
        cases.append(case(number, cause, {ROW: 1.0} if there else {}, family="abcdefgh"[number % 8]))
    return cases


def test_a_fit_makes_what_was_seen_more_likely_on_families_that_it_did_not_see() -> None:
    cases = made_up()
    data = fitting.design(cases)
    by_grade = fitting.neg_log_likelihood(fitting.left_out(cases, data, None), data)
    assert fitting.neg_log_likelihood(fitting.left_out(cases, data, 3.0), data) < by_grade - 0.1


def test_base_rates_of_causes_that_are_met_rise_and_those_of_others_fall() -> None:
    fitted = fitting.fit(fitting.design(made_up()), 1.0)
    rates = dict(zip(fitting.CAUSES, fitted.rates[fitting.CONDITIONS.index(Condition.PLATEAU)], strict=True))
    assert rates[CauseName.DEAD_ACTIVATIONS] > 0.3
    assert rates[CauseName.MISSING_NONLINEARITY] < -0.3
    assert rates[CauseName.BAD_BATCH] == 0, "not a cause of a plateau"
    others = np.delete(fitted.rates, fitting.CONDITIONS.index(Condition.PLATEAU), axis=0)
    assert not others.any(), "nothing was seen of other conditions"


def test_the_scores_of_the_fit_are_those_of_the_engine() -> None:
    (log, *_) = logs_of(faulty())
    seen = log.seen
    total, _ = fitting.scores(fitting.design([case_of(log)]), fitting.BY_GRADE)
    engine = {s.cause: s.score for s in score(seen, strengths(seen), magnitudes.Magnitudes())}
    assert {c: pytest.approx(v) for c, v in engine.items()} == dict(zip(fitting.CAUSES, total[0], strict=True))


def test_the_data_file_reads_back_what_was_fitted() -> None:
    cases = made_up()
    data = fitting.design(cases)
    fitted = fitting.fit(data, 1.0)
    heat = temperatures(cases, data, fitting.scores(data, fitted)[0])
    read = magnitudes.read(document(data, fitted, heat))  # type: ignore[arg-type]
    place = fitting.CAUSES.index(CauseName.DEAD_ACTIVATIONS)
    wanted = fitted.rates[fitting.CONDITIONS.index(Condition.PLATEAU), place]
    assert read.base_rates["plateau", "dead_activations"] == pytest.approx(wanted, abs=0.01)
    assert read.rows[ROW, "weight_decay_too_strong"] > 0


def test_a_run_that_no_rule_found_is_told_apart_from_a_wrong_cause() -> None:
    cases = [
        case(0, "weight_decay_too_strong", {ROW: 1.0}), case(1, "weight_decay_too_strong", {ROW: 1.0}, raised=False),
        case(2, "labels_uninformative", {ROW: 1.0}), case(3, "labels_uninformative", {ROW: 1.0}, raised=False),
    ]  # fmt: skip
    data = fitting.design(cases)
    total, _ = fitting.scores(data, fitting.BY_GRADE)
    assert owed(cases, data, total)[-1] == "| as logged | 4 | 0.50 | 0.50 | 0.50 | 0.25 |"


def faulty() -> LabelledRun:
    losses = np.random.default_rng(0).normal(2.3, 0.02, 200)
    return LabelledRun(
        id="flat", family="flat", points=tuple(Point(step, float(loss)) for step, loss in enumerate(losses)),
        context=Context(loss_name="cross_entropy", num_classes=10),
        label=Label(condition="not_learning", also_ok=("plateau",), onset_step=0, cause="parameters_not_updated"),
    )  # fmt: skip


def test_folded_logs_are_kept_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "FOLDER", tmp_path)
    file = tmp_path / "develop" / "program-Flat-0-abc.jsonl.gz"
    file.parent.mkdir()
    write_corpus(file, [faulty(), replace(faulty(), id="well", label=Label(condition="healthy"))])
    first = kept_cases.kept_logs(file)
    assert {log.run for log in first} == {"flat"}
    assert {log.way for log in first} >= {"as is", "no context"}
    (target,) = (tmp_path / "logs" / "develop").glob("*.pickle")
    assert target.stat().st_size < 20_000 * len(first)
    file.unlink()
    again = kept_cases.kept_logs(file)
    assert [case_of(log) for log in again] == [case_of(log) for log in first], "the zoo's file is not needed again"
