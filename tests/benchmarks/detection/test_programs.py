"""The programs of both halves train what they say, their gradients are right, and the halves share nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace

import numpy as np
import pytest

from benchmarks.detection import develop_half, test_half
from benchmarks.detection.labels import LabelledRun
from benchmarks.detection.programs.autodiff import backward, forget
from benchmarks.detection.programs.boosting import Boosting
from benchmarks.detection.programs.facts import facts_at_start
from benchmarks.detection.programs.faults import DEVELOP, TEST, faults
from benchmarks.detection.programs.feed import Feed
from benchmarks.detection.programs.oddities import healthy, own
from benchmarks.detection.programs.outcomes import UNAFFECTED
from benchmarks.detection.programs.program import Program, recipe_of
from benchmarks.detection.programs.runs import STRENGTHS, faulty_run, healthy_run, trained, validating
from benchmarks.detection.programs.training import train
from benchmarks.detection.zoo.faults import Fault
from losswatch_server.monitor.vocabulary import CauseName, Condition

CAUSES = {cause.value for cause in CauseName}
HALVES = {"develop": develop_half.PROGRAMS, "test": test_half.PROGRAMS}
EVERY = [program for programs in HALVES.values() for program in programs]
TUNED = {"adapters", "dialect", "preferences", "opinions", "clicks"}
"""Tasks of which little is to be learned."""
BY_GRADIENTS = [program for program in EVERY if not issubclass(program, Boosting)]


def injected(half: str) -> Iterator[Fault]:
    """Every fault of a half at its first seed."""
    for program in HALVES[half]:
        yield from faults(program, 0, STRENGTHS[half])


@pytest.mark.parametrize("program", BY_GRADIENTS)
def test_gradients_are_what_differences_say(program: type[Program]) -> None:
    of = program(replace(recipe_of(program, 0), dropout=0.0))
    x, y = of.data.x[:24], of.data.y[:24]
    direction = np.random.default_rng(1).normal(0, 1, of.parameters.shape).astype(np.float32)
    direction /= np.linalg.norm(direction)
    start = of.parameters.copy()

    def loss_at(distance: float) -> float:
        of.parameters[:] = start + np.float32(distance) * direction
        of.noise = np.random.default_rng(5)
        value = float(of.loss_of(x, y)[0].value)
        forget()
        return value

    of.noise = np.random.default_rng(5)
    backward(of.loss_of(x, y)[0])
    slope = float(of.gradient @ direction)
    measured = (loss_at(2e-3) - loss_at(-2e-3)) / 4e-3
    assert slope == pytest.approx(measured, rel=0.05, abs=2e-3 * max(1.0, abs(loss_at(0.0))))


@pytest.mark.slow
@pytest.mark.parametrize("program", EVERY)
def test_a_healthy_program_gains_on_the_best_constant(program: type[Program]) -> None:
    trace = trained(program, validating(recipe_of(program, 0), 5))
    assert np.isfinite(trace.loss).all()
    tuned = trace.recipe.pretrained_steps or trace.recipe.task in TUNED
    least = 0.01 if tuned else 0.1
    assert trace.chance - trace.evaluated[-1] > least * max(abs(trace.chance), abs(trace.evaluated[-1]))


def test_the_same_recipe_trains_to_the_same_bits() -> None:
    recipe = replace(recipe_of(develop_half.Variational, 0), steps=40, dropout=0.1)
    first, second = (train(develop_half.Variational, recipe).loss.tobytes() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("half", HALVES)
def test_every_cause_of_the_vocabulary_is_injected_in_several_families(half: str) -> None:
    families: dict[str, set[str]] = {}
    for fault in injected(half):
        families.setdefault(fault.cause, set()).add(fault.recipe.task)
    assert families.keys() == CAUSES
    assert min(len(of) for of in families.values()) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("half", HALVES)
def test_every_structure_that_a_fault_or_an_oddity_asks_for_can_be_trained(half: str) -> None:
    for program in HALVES[half]:
        if issubclass(program, Boosting):
            continue
        recipes = [f.recipe for f in faults(program, 0, STRENGTHS[half])]
        recipes += [h.recipe for h in healthy(program, 0, half)]
        shapes = {(r.hidden, r.activation, r.loss, r.optimizer, r.batch_size == 1): r for r in recipes}
        for recipe in shapes.values():
            assert len(train(program, replace(recipe, steps=2, pretrained_steps=1, changes=())).loss) == 2


@pytest.mark.parametrize("half", HALVES)
def test_most_runs_are_healthy_and_every_run_has_a_name_of_its_own(half: str) -> None:
    sick = [fault.id for fault in injected(half)]
    well = [run.id for program in HALVES[half] for run in healthy(program, 0, half)]
    assert len(well) >= 0.55 * (len(sick) + len(well))
    assert len({*sick, *well}) == len(sick) + len(well)


def test_the_halves_have_a_dozen_families_each_and_share_no_task_schedule_or_strength() -> None:
    tasks = [{program.base.task for program in programs} for programs in HALVES.values()]
    assert min(map(len, tasks)) >= 12
    assert not tasks[0] & tasks[1]
    schedules = [{o.name for o in own(half)} for half in HALVES]
    assert not schedules[0] & schedules[1]
    same = {name for name, value in asdict(DEVELOP).items() if value == asdict(TEST)[name]}
    assert same == set()


def test_no_family_of_one_half_is_made_of_one_of_the_other() -> None:
    for half, programs in HALVES.items():
        for program in programs:
            modules = {c.__module__.split(".")[2] for c in program.__mro__ if "_half" in c.__module__}
            assert modules == {f"{half}_half"}


def run_of(program: type[Program], name: str, half: str = "develop") -> LabelledRun | str:
    """The labelled run of a fault, by the end of its name."""
    fault = next(f for f in faults(program, 0, STRENGTHS[half]) if f.id.endswith(name))
    return faulty_run(fault, program)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "name", "condition"),
    [
        (develop_half.HeavyTails, "learning_rate_too_high-x60", Condition.NON_FINITE),
        (develop_half.Margins, "parameters_not_updated-start", Condition.NOT_LEARNING),
        (develop_half.Boosted, "learning_rate_too_low-/50", Condition.SLOW_CONVERGENCE),
        (develop_half.HeavyTails, "non_finite_data-nan-validation-1", Condition.NON_FINITE),
        (develop_half.Counts, "overfit_small_data-60", Condition.OVERFITTING),
    ],
)
def test_a_fault_is_labelled_by_what_it_visibly_does(program: type[Program], name: str, condition: Condition) -> None:
    run = run_of(program, name)
    assert isinstance(run, LabelledRun)
    assert run.label.condition == condition
    assert run.label.cause == name.split("-")[0]


def test_a_fault_that_does_no_harm_is_left_out() -> None:
    base = recipe_of(develop_half.Margins, 0)
    harmless = Fault(
        id="margins-0-learning_rate_too_high-x1.05",
        cause="learning_rate_too_high",
        recipe=replace(base, learning_rate=1.05 * base.learning_rate),
        twin=base,
    )
    assert faulty_run(harmless, develop_half.Margins) == UNAFFECTED


def test_a_skipped_step_of_a_loss_scaler_is_healthy() -> None:
    scaler = next(h for h in healthy(develop_half.Margins, 0, "develop") if h.oddity.name == "loss-scaler")
    run = healthy_run(scaler, develop_half.Margins)
    assert isinstance(run, LabelledRun)
    assert run.label.healthy
    assert all("loss_scale" in (p.metrics or {}) for p in run.points)


def test_facts_tell_what_the_fault_is_where_an_integration_sees_it() -> None:
    base = recipe_of(develop_half.Signals, 0)

    def told(**fields: object) -> dict[str, object]:
        recipe = replace(base, **fields)  # type: ignore[arg-type]
        of = develop_half.Signals(recipe)
        return facts_at_start(of, Feed(recipe, of.data), recipe)

    assert told()["hidden_activations"] == ["relu"]
    assert told(activation="linear")["hidden_activations"] == ["linear"]
    frozen = told(frozen=True)
    assert frozen["optimizer_parameters"] < frozen["parameters"]  # type: ignore[operator]
    assert told(input_scale=100.0)["input_max_abs"] > 20 * told()["input_max_abs"]  # type: ignore[operator]
    assert told(loss="double_softmax")["output_activation"] == "softmax"
    assert told(shuffle=False)["shuffled"] is False
