"""Every row of evidence has a run in which it is there and changes which causes come first, or it has no place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from losswatch_server.monitor.diagnosis.engine import rank, score, strengths
from losswatch_server.monitor.diagnosis.evidence import ROWS
from losswatch_server.monitor.diagnosis.evidence.row import Seen
from losswatch_server.monitor.diagnosis.magnitudes import MAGNITUDES
from losswatch_server.monitor.diagnosis.measures import gather
from losswatch_server.monitor.diagnosis.priors import PRIORS
from losswatch_server.monitor.diagnosis.suspicions import as_finding, suspects
from losswatch_server.monitor.memory.memory import Memory
from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import CauseName, Condition
from monitor.diagnosis.odd_trainings import trainings
from monitor.diagnosis.remembered import found, remembered

RNG = np.random.default_rng
CHANCE = math.log(10)
TEN = Context(loss_name="cross_entropy", num_classes=10)
SGD = Context(optimizer="sgd", learning_rate=0.1, loss_name="mse")
N = 300
PLAIN_SIGHT = 0.5
FIRST = 5
"""Places in which a change counts: more causes are not told."""


def noisy(level: float, n: int = N, noise: float = 0.02, seed: int = 0) -> list[float]:
    return (level + noise * RNG(seed).normal(size=n)).tolist()


def decay(start: float, end: float, n: int = N, span: float = 20.0) -> list[float]:
    return (end + (start - end) * np.exp(-np.arange(n) / span)).tolist()


def layered(first: float, last: float) -> dict[str, list[float]]:
    return {"a": [first] * N, "b": [last] * N}


def with_accuracy(memory: Memory, train: list[float], held_out: list[float] | None = None) -> Memory:
    for i, value in enumerate(train):
        memory.quality.add({"accuracy": value, **({} if held_out is None else {"val_accuracy": held_out[i]})})
    return memory


def broken(memory: Memory, losses: int = 0, norms: int = 0) -> Memory:
    memory.loss_nonfinite, memory.grad_nonfinite = losses, norms
    return memory


def quadratic(factor: float, n: int = 12) -> Memory:
    """Gradient descent on x squared / 2 + 1, each step times ``factor``."""
    w = [factor**i for i in range(n)]
    return remembered([0.5 * x * x + 1 for x in w], [abs(x) for x in w])


FLAT = noisy(CHANCE)
FLOOR = (np.array(decay(2.3, 0.8)) + 0.005 * RNG(1).normal(size=N)).tolist()
DOUBLED = math.log(math.e + 9) - 1
SUMMED = [0.4 * (i + 1) * math.exp(0.15 * RNG(3).normal() / (1 + i / 10)) for i in range(N)]
DIGITS = 1.2345678901234567


def memories() -> Iterator[tuple[Memory, Context]]:
    yield remembered(FLAT, noisy(0.5)), TEN
    yield remembered(FLOOR, decay(0.5, 1e-5)), TEN
    yield remembered(FLOOR, (0.5 * np.exp(0.6 * RNG(2).normal(size=N))).tolist()), TEN
    yield remembered([CHANCE, *FLAT[1:]], noisy(0.3)), TEN
    yield remembered((np.array(decay(CHANCE, DOUBLED * 1.01)) + 0.004 * RNG(4).normal(size=N)).tolist()), TEN
    yield remembered([1.5] * N, [0.0] * N), Context()
    yield remembered([1.5] * N, [1.0] * 3 + [0.0] * (N - 3)), Context()
    yield remembered(noisy(8.0, noise=0.5), [0.0] * N), TEN
    yield remembered((np.tile(RNG(5).random(20), 15)).tolist()), Context()
    yield remembered([2.3 + 0.1 * i for i in range(N)], SUMMED), Context()
    for layers in (layered(1e-6, 1.0), layered(1e3, 1.0), layered(1.0, 1.0), layered(0.0, 1.0)):
        yield remembered(FLAT, noisy(0.4), layers=layers), TEN
    died = {"a": [0.2] * 10 + [0.0] * (N - 10), "b": [0.15] * N}
    yield remembered(FLAT, noisy(0.15, noise=0.005), layers=died), TEN
    yield remembered([2.3, 80.0, 40.0, *FLAT[3:]], noisy(0.15, noise=0.005), layers=died), TEN
    yield quadratic(1.3), Context(optimizer="sgd", learning_rate=0.3)
    yield quadratic(-1.3), Context(optimizer="sgd", learning_rate=2.3)
    yield quadratic(-1.05, 40), Context(optimizer="sgd", learning_rate=2.05)
    slope = (np.linspace(2.0, 1.0, N) + 0.01 * RNG(6).normal(size=N)).tolist()
    for rate in (1 / N, 30 / N, 1e-7):
        yield remembered(slope, [1.0] * N), Context(optimizer="sgd", learning_rate=rate, loss_name="mse")
    yield remembered(slope, [1.0] * N, rates=[0.0] * N), Context()
    yield remembered(FLAT, [0.5] * N, validation=[DIGITS] * 12), TEN
    yield remembered(FLOOR, [0.5] * N, validation=[2.3, 1.9, *([DIGITS] * 12)]), TEN
    yield remembered(FLOOR, validation=[2.3, 1.9, *([DIGITS] * 12)]), TEN
    yield remembered(FLOOR, validation=[2.3, 1.9, *([1.23] * 12)]), TEN
    yield remembered(FLOOR, validation=[2.0, 1.5, 1.2, 1.6, 1.9]), TEN
    yield remembered(FLOOR, validation=[2.3, 2.32, 2.5, 2.7, 2.9]), TEN
    yield with_accuracy(remembered(FLAT), [0.1, 0.11, 0.1, 0.09, 0.1]), TEN
    yield with_accuracy(remembered(FLAT), [0.1, 0.5, 0.7, 0.8, 0.9]), TEN
    yield with_accuracy(remembered(FLOOR), [0.1] * 6), TEN
    yield with_accuracy(remembered(FLOOR), [0.9] * 6, [0.6] * 6), TEN
    yield with_accuracy(remembered(FLOOR), [0.7] * 6, [0.7] * 6), TEN
    yield remembered([1.0] * 20 + [1.2, 2.0, 9.0], rates=[0.1] * 23), Context()
    yield broken(remembered([0.5, 0.2, 0.0, 0.0, 0.0]), norms=4), Context()
    yield broken(remembered(FLAT), norms=4), TEN
    yield broken(remembered(FLAT, rates=[0.01] * 150 + [0.6] * 150)), TEN
    yield remembered([1.0] * 20 + [1.2, 2.0, 9.0]), Context(facts=ModelFacts(input_mean=math.nan))
    sawtooth = (1 + 0.6 * np.abs((np.arange(N) % 32) / 32 - 0.5) + 0.02 * RNG(9).normal(size=N)).tolist()
    yield remembered(sawtooth), TEN.merged(Context(facts=ModelFacts(shuffled=True)))
    yield remembered((np.tile([1.0, 1.6], N // 2) + 0.02 * RNG(9).normal(size=N)).tolist()), Context()
    learned = (np.array(decay(2.3, 0.3, 150)) + 0.01 * RNG(9).normal(size=150)).tolist()
    yield remembered([*learned, *(40 * 3.0**k for k in range(8))]), TEN
    yield remembered([*learned, *noisy(2.35, 150)]), TEN
    clipped = [min(1.0, x) for x in noisy(1.2, noise=0.3)]
    yield remembered(FLAT, clipped), Context()
    yield remembered(FLAT, noisy(30.0, noise=3.0)), Context(grad_clip=0.1)
    yield remembered(FLAT, (0.5 * np.exp(0.9 * RNG(8).normal(size=N))).tolist()), Context()
    yield remembered(FLAT, noisy(0.5, noise=0.01)), Context(grad_clip=1.0)


def further_memories() -> Iterator[tuple[Memory, Context]]:
    swing = [1.0 + math.sin(i / 6) for i in range(N)]
    yield remembered([2.5 - x for x in swing], [0.2 + 2 * x for x in swing]), Context()
    yield remembered([0.5 + x for x in swing], [0.2 + 2 * x for x in swing]), Context()
    yield remembered(FLOOR, validation=[2.3, *([1.2] * 5)]), TEN
    one_class = TEN.merged(Context(facts=ModelFacts(class_shares=(0.995, 0.005))))
    yield remembered(FLOOR, validation=[2.0, 1.5, 1.2, 1.6, 1.9]), one_class
    named = TEN.merged(Context(optimizer="adam", learning_rate=1e-3, batch_size=32))
    yield remembered(noisy(2.33), noisy(0.45)), named
    said = (ModelFacts(parameters=10_000, dataset_size=100), ModelFacts(parameters=10, dataset_size=10_000))
    for facts in (*said, ModelFacts(class_shares=(0.995, 0.005))):
        yield with_accuracy(remembered(FLOOR), [0.9] * 6, [0.6] * 6), one_class.merged(Context(facts=facts))
        yield remembered(FLOOR, validation=[2.3, 2.32, 2.5, 2.7, 2.9]), one_class.merged(Context(facts=facts))
    hot = Context(optimizer="sgd", learning_rate=1e-6)
    for memory in (quadratic(1.3), quadratic(-1.3), remembered([2.3, 80.0, 40.0, *FLOOR[3:]])):
        yield memory, hot
        yield memory, hot.merged(Context(warmup_steps=0, batch_size=1))
    scatter = RNG(10).normal(size=N)
    yield remembered((1 + 0.2 * scatter * np.linspace(0.1, 1, N)).tolist(), noisy(0.5)), hot
    yield remembered((1 + 0.2 * scatter * np.linspace(1, 0.1, N)).tolist(), noisy(0.5)), Context(weight_decay=0.5)
    yield remembered((1 + 0.2 * scatter * np.linspace(0.1, 1, N)).tolist(), noisy(0.5)), Context(weight_decay=0.5)
    yield remembered(FLOOR, validation=[2.3, *([0.4] * 5)]), TEN
    yield with_accuracy(remembered(FLOOR), [0.1, 0.11, 0.1, 0.09, 0.1]), TEN
    yield with_accuracy(remembered(noisy(0.7)), [0.1, 0.05, 0.02, 0.0, 0.0]), Context(num_classes=2)
    epochs = Context(step_unit="epoch")
    rising = (np.linspace(6.0, 8.0, N) + 0.3 * scatter).tolist()
    for context in (Context(), TEN, hot, epochs, Context(grad_clip=0.1)):
        yield remembered(rising), context
        yield remembered(rising, noisy(30.0, noise=3.0)), context
    for context in (epochs, Context(), hot, TEN.merged(epochs)):
        yield remembered([14.3675, *([14.5254] * 11)]), context
        yield with_accuracy(remembered([14.3675, *([14.5254] * 11)], validation=[14.5511] * 12), [0.0972] * 12), context
        yield remembered([2.3026, 2.3027, 2.3026, 2.3026] * 6), context
        yield remembered([2.3026, 2.3027, 2.3026, 2.3026] * 6, validation=[2.3026] * 24), context
    for losses in (FLAT, [1.5] * N, noisy(1.5)):
        for context in (TEN, Context(), hot):
            yield remembered(losses, [1.0] * 3 + [1e-9] * (N - 3)), context
            yield remembered(losses, decay(0.5, 1e-6)), context
        yield with_accuracy(remembered(losses), [0.5] * 6), TEN
        yield with_accuracy(remembered(losses, validation=[1.23] * 12), [0.5] * 6), TEN
    for context in (Context(), hot, Context(precision="fp16"), Context(batch_size=1)):
        yield broken(remembered([6e40]), losses=50), context


START_TOO_HIGH = [
    (remembered((500 + noise).tolist(), [500.0] * N), Context(warmup_steps=0, optimizer="sgd", learning_rate=10.0))
    for noise in RNG(11).normal(size=(1, N))
]
STATED = [
    ModelFacts(parameters=100, trainable_parameters=100, optimizer_parameters=0),
    ModelFacts(parameters=100, trainable_parameters=100, optimizer_parameters=100),
    ModelFacts(parameters=100, trainable_parameters=10, optimizer_parameters=10),
    *(ModelFacts(hidden_activations=(name,)) for name in ("linear", "relu", "tanh", "sigmoid")),
    ModelFacts(output_activation="softmax", loss_expects="logits"),
    ModelFacts(output_activation="linear", loss_expects="probabilities"),
    ModelFacts(output_activation="linear", loss_expects="logits"),
    ModelFacts(output_activation="sigmoid", target_kind="values", target_mean=50.0, target_std=20.0),
    ModelFacts(target_kind="classes", loss_expects="values"),
    ModelFacts(input_mean=100.0, input_std=80.0, input_max_abs=255.0),
    ModelFacts(input_mean=100.0, input_std=80.0, normalization=("batch_norm",)),
    ModelFacts(input_mean=0.0, input_std=1.0, input_max_abs=4.0),
    ModelFacts(input_mean=0.0, input_std=1e-4),
    ModelFacts(target_kind="values", target_mean=300.0, target_std=200.0),
    ModelFacts(input_mean=math.nan, input_std=math.nan),
    ModelFacts(input_mean=0.0, input_std=1.0, target_kind="classes"),
    ModelFacts(initial_loss=30.0), ModelFacts(initial_loss=2.3), ModelFacts(initial_loss=math.log(10)),
    ModelFacts(parameters=20), ModelFacts(parameters=50_000),
    ModelFacts(class_shares=(0.995, 0.005)),
    ModelFacts(parameters=10_000, dataset_size=100), ModelFacts(parameters=10, dataset_size=10_000),
    ModelFacts(shuffled=False), ModelFacts(shuffled=True), ModelFacts(normalization=("layer_norm",)),
    ModelFacts(dead_unit_share=0.9), ModelFacts(dead_unit_share=0.0),
    ModelFacts(saturated_unit_share=0.9), ModelFacts(saturated_unit_share=0.0),
    ModelFacts(update_to_weight=0.0, dead_unit_share=0.6),
    *(ModelFacts(update_to_weight=ratio) for ratio in (0.0, 1e-6, 1e-3, 0.2)),
    ModelFacts(overfits_one_batch=True), ModelFacts(overfits_one_batch=False),
    ModelFacts(loss_scale=0.5), ModelFacts(loss_scale=2.0**21),
    ModelFacts(gradients_cleared=False), ModelFacts(gradients_cleared=True),
]  # fmt: skip
SAID = [
    Context(learning_rate=0.0), Context(optimizer="adam", learning_rate=1.0), Context(momentum=0.999),
    Context(momentum=0.9), Context(batch_size=1), Context(batch_size=8), Context(batch_size=512),
    Context(weight_decay=0.5), Context(weight_decay=0.05), Context(weight_decay=0.0), Context(grad_clip=1e-4),
    Context(precision="fp16"), Context(precision="fp32"), Context(warmup_steps=0), Context(warmup_steps=100),
    Context(loss_name="mse", num_classes=10), Context(loss_name="binary_cross_entropy", num_classes=10),
    *(Context(extra={"activation": name}) for name in ("linear", "sigmoid", "relu")),
    Context(optimizer="adam", learning_rate=1e-3, batch_size=32),
    Context(optimizer="adam", learning_rate=3e-4, total_steps=300),
    Context(optimizer="sgd", learning_rate=0.1, facts=ModelFacts(update_to_weight=1e-6)),
    Context(loss_name="poisson_nll", facts=ModelFacts(initial_loss=1e9)),
]  # fmt: skip


def sights() -> Iterator[Seen]:
    """Findings on made-up trainings, on small runs of every kind, and on what clients state."""
    for _, points, context in trainings(240, seed=7):
        monitor = Monitor("witness")
        monitor.see_context(context)
        for point in points:
            monitor.see(point)
        measured = gather(monitor.memory, context)
        suspected = [as_finding(s, measured, monitor.step) for s in suspects(measured)]
        for finding in (*monitor.findings(), *suspected):
            if finding.condition in PRIORS:
                yield Seen(finding, gather(monitor.memory, context, since_step=finding.onset_step), context)
    evidence = {"input_size": 5000.0}
    for memory, context in (*memories(), *further_memories()):
        for condition in PRIORS:
            yield Seen(found(condition, memory, **evidence), gather(memory, context, since_step=150), context)
    unbounded = remembered((-np.geomspace(1, 1e9, 60)).tolist())
    for context in (Context(), SGD, Context(momentum=0.999), Context(batch_size=1)):
        measured = gather(unbounded, context, since_step=0)
        yield Seen(found(Condition.DIVERGING, unbounded, rule="unbounded", current=-1e9), measured, context)
    for context in (Context(step_unit="epoch"), Context(step_unit="epoch", batch_size=1, momentum=0.999)):
        for name in ("loss", "validation_loss"):
            broke = replace(found(Condition.NON_FINITE, Memory()), series=name)
            yield Seen(broke, gather(broken(Memory(), losses=9), context), context)
    bases = [remembered(FLAT), remembered(FLOOR), remembered([2.3, 80.0, 40.0, *FLAT[3:]])]
    for context in [*(TEN.merged(Context(facts=facts)) for facts in STATED), *SAID]:
        for memory in bases:
            for condition in PRIORS:
                yield Seen(found(condition, memory), gather(memory, context, since_step=150), context)
    for memory, context in ((bases[0], TEN), (bases[1], TEN), (bases[1], Context(batch_size=1)), *START_TOO_HIGH):
        broke = replace(found(Condition.NON_FINITE, memory), series="validation_loss")
        yield Seen(broke, gather(memory, context, since_step=150), context)


Grade = tuple[str, CauseName]
"""A row and one of the causes of which it tells."""
LEAST = 0.5
"""Log-odds below which a grade is too small to be held to a change of order: the fit found little in it."""
_SAID_BESIDE = "another row of its group, there in the same runs, says the same, and the group is capped"
_FAR_BEHIND = "the cause is far behind in every such run, for what else is seen there"
_LEADS = "the cause leads in every such run, or its rivals are far behind"
NOT_HELD: Mapping[Grade, str] = {
    ("accuracy_constant", CauseName.DEAD_ACTIVATIONS): _FAR_BEHIND,
    ("accuracy_rises", CauseName.DEAD_ACTIVATIONS): _FAR_BEHIND,
    ("accuracy_rises", CauseName.PARAMETERS_NOT_UPDATED): _SAID_BESIDE,
    ("accuracy_well_above_chance", CauseName.POOR_INITIALIZATION): _FAR_BEHIND,
    ("ascends_gradient", CauseName.WRONG_LOSS_FUNCTION): _SAID_BESIDE,
    ("beyond_stability", CauseName.LEARNING_RATE_TOO_LOW): _FAR_BEHIND,
    ("blew_up_at_once_then_learned", CauseName.LEARNING_RATE_TOO_LOW): _SAID_BESIDE,
    ("blew_up_at_once_then_learned", CauseName.PARAMETERS_NOT_UPDATED): _SAID_BESIDE,
    ("creeping", CauseName.DEAD_ACTIVATIONS): _FAR_BEHIND,
    ("creeping", CauseName.PARAMETERS_NOT_UPDATED): _FAR_BEHIND,
    ("first_loss_exactly_chance", CauseName.INSUFFICIENT_CAPACITY): _FAR_BEHIND,
    ("first_loss_exactly_chance", CauseName.MISSING_NONLINEARITY): _FAR_BEHIND,
    ("grew_before_overflow", CauseName.BAD_BATCH): _FAR_BEHIND,
    ("layers_dead_from_start", CauseName.SATURATED_ACTIVATIONS): _FAR_BEHIND,
    ("layers_died_after_blow_up", CauseName.POOR_INITIALIZATION): _FAR_BEHIND,
    ("more_parameters_than_samples", CauseName.OVERFIT_SMALL_DATA): _LEADS,
    ("predicted_fall_below_noise", CauseName.MISSING_NONLINEARITY): _FAR_BEHIND,
    ("predicted_fall_came", CauseName.LEARNING_RATE_TOO_LOW): _FAR_BEHIND,
    ("predicted_fall_came", CauseName.MISSING_NONLINEARITY): _FAR_BEHIND,
    ("rises_from_first_step", CauseName.LABELS_UNINFORMATIVE): _FAR_BEHIND,
    ("single_step_jump", CauseName.OVERFIT_SMALL_DATA): _FAR_BEHIND,
    ("validation_broke_alone", CauseName.NON_FINITE_DATA): _LEADS,
    ("validation_stopped_to_the_last_digit", CauseName.DATA_NOT_SHUFFLED): _FAR_BEHIND,
    ("weights_are_tiny", CauseName.PARAMETERS_NOT_UPDATED): _FAR_BEHIND,
}
"""Grades that change the order in no run here, with the reason."""


@cache
def witnessed() -> tuple[frozenset[str], frozenset[Grade]]:
    """The rows and grades that are plainly there in some run and without which the causes come in another order."""
    rows: set[str] = set()
    grades: set[Grade] = set()
    for seen in sights():
        there = strengths(seen)
        plain = [name for name, strength in there.items() if strength > PLAIN_SIGHT]
        fresh = [(name, cause) for name in plain for cause in BY_NAME[name].grades if (name, cause) not in grades]
        if not fresh and rows.issuperset(plain):
            continue
        scored = {s.cause: s.score for s in score(seen, there)}
        with_all = first_of(scored)
        for name in plain:
            without = {other: value for other, value in there.items() if other != name}
            if name not in rows and first_of({s.cause: s.score for s in score(seen, without)}) != with_all:
                rows.add(name)
        for name, cause in fresh:
            silent = replace(MAGNITUDES, rows={**MAGNITUDES.rows, (name, cause): 0.0})
            changed = next(s.score for s in score(seen, there, silent) if s.cause is cause)
            if first_of({**scored, cause: changed}) != with_all:
                grades.add((name, cause))
    return frozenset(rows), frozenset(grades)


def first_of(scored: Mapping[CauseName, float]) -> list[CauseName]:
    """The causes that are told, best first."""
    return sorted(scored, key=lambda cause: (-scored[cause], cause))[:FIRST]


BY_NAME = {row.name: row for row in ROWS}


@pytest.mark.slow
@pytest.mark.parametrize("row", [row.name for row in ROWS])
def test_a_row_has_a_run_in_which_it_changes_the_order_of_the_causes(row: str) -> None:
    assert row in witnessed()[0]


@pytest.mark.slow
def test_a_grade_has_a_run_in_which_it_changes_the_order_of_the_causes_or_a_reason_why_not() -> None:
    weighty = {
        (row.name, cause)
        for row in ROWS
        for cause, (_, grade) in row.grades.items()
        if MAGNITUDES.of(row.name, cause, grade) >= LEAST
    }
    assert weighty - witnessed()[1] <= set(NOT_HELD)


def test_rows_have_names_of_their_own_and_never_tell_for_and_against_the_same_cause() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row.grades, row.name
        assert not set(row.for_) & set(row.against), row.name
        assert not row.means.endswith("."), row.name


def first_with_probability(
    condition: Condition, facts: ModelFacts, losses: list[float]
) -> tuple[CauseName, float, str]:

    context = TEN.merged(Context(facts=facts))
    memory = remembered(losses)
    cause = rank(found(condition, memory), gather(memory, context), context)[0]
    return cause.cause, cause.probability, " ".join(cause.because)


@pytest.mark.parametrize(
    ("condition", "facts", "cause", "quoted"),
    [
        (Condition.NOT_LEARNING, ModelFacts(parameters=9, optimizer_parameters=0), "parameters_not_updated", "0 of"),
        (Condition.NOT_LEARNING, ModelFacts(parameters=90, trainable_parameters=9), "parameters_not_updated", "only 9"),
        (
            Condition.PLATEAU,
            ModelFacts(hidden_activations=("linear",)),
            "missing_nonlinearity",
            "no activation",
        ),
        (
            Condition.PLATEAU,
            ModelFacts(output_activation="softmax", loss_expects="logits"),
            "wrong_loss_function",
            "applied twice",
        ),
        (Condition.PLATEAU, ModelFacts(input_max_abs=255.0), "inputs_not_scaled", "255"),
        (Condition.DIVERGING, ModelFacts(input_std=70.0, input_mean=120.0), "inputs_not_scaled", "120"),
        (Condition.OSCILLATION, ModelFacts(shuffled=False), "data_not_shuffled", "not shuffled"),
        (Condition.NOT_LEARNING, ModelFacts(dead_unit_share=0.97), "dead_activations", "97 %"),
        (Condition.NOT_LEARNING, ModelFacts(saturated_unit_share=0.97), "saturated_activations", "97 %"),
        (Condition.NON_FINITE, ModelFacts(input_mean=math.nan), "non_finite_data", "NaN"),
        (Condition.NON_FINITE, ModelFacts(loss_scale=0.25), "precision_overflow", "0.25"),
        (Condition.OSCILLATION, ModelFacts(gradients_cleared=False), "gradients_accumulating", "nothing clears them"),
        (
            Condition.NOT_LEARNING,
            ModelFacts(update_to_weight=0.0),
            "parameters_not_updated",
            "weights by 0",
        ),
    ],
)
def test_a_stated_fact_stands_first_with_nine_in_ten_and_is_quoted(
    condition: Condition, facts: ModelFacts, cause: str, quoted: str
) -> None:
    for losses in (FLAT, FLOOR):
        first, probability, because = first_with_probability(condition, facts, losses)
        assert first == cause
        assert probability >= 0.9
        assert quoted in because


def test_what_a_fact_rules_out_is_not_believed_on_the_word_of_a_curve() -> None:
    memory = remembered(FLOOR, decay(0.5, 1e-5))
    for facts, cause in (
        (ModelFacts(hidden_activations=("relu",)), CauseName.MISSING_NONLINEARITY),
        (ModelFacts(dead_unit_share=0.0), CauseName.DEAD_ACTIVATIONS),
        (ModelFacts(shuffled=True), CauseName.DATA_NOT_SHUFFLED),
    ):
        context = TEN.merged(Context(facts=facts))
        seen = Seen(found(Condition.PLATEAU, memory), gather(memory, context), context)
        assert cause not in [scored.cause for scored in score(seen, strengths(seen))[:10]]
