"""Made-up trainings in which the rows of evidence are there: for each row one whose causes it puts in another order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from losswatch_server.monitor.diagnosis.evidence.row import Seen
from losswatch_server.monitor.diagnosis.measures import gather
from losswatch_server.monitor.diagnosis.priors import PRIORS
from losswatch_server.monitor.diagnosis.suspicions import as_finding, suspects
from losswatch_server.monitor.memory.memory import Memory
from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import Condition
from monitor.diagnosis import made_breaks, made_returns
from monitor.diagnosis.odd_trainings import trainings
from monitor.diagnosis.remembered import found, remembered

RNG = np.random.default_rng
CHANCE = math.log(10)
TEN = Context(loss_name="cross_entropy", num_classes=10)
SGD = Context(optimizer="sgd", learning_rate=0.1, loss_name="mse")
SGD_FOR_TEN = Context(optimizer="sgd", learning_rate=0.1)
N = 300


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


ACTIVE = tuple(Context(extra={"activation": name}) for name in ("linear", "sigmoid", "relu"))


def scattered() -> Iterator[tuple[Memory, Context]]:
    """Batches of a known size: losses and gradient norms that scatter little, or much, for it."""
    batch = TEN.merged(Context(batch_size=32))
    few = (0.3 * np.exp(0.8 * RNG(12).normal(size=N))).tolist()
    yield remembered((CHANCE + 0.1 * np.tile([1.0, 0.0, -1.0], N // 3)).tolist()), batch
    for noise in (0.001, 0.02, 0.2):
        for context in (batch, batch.merged(Context(weight_decay=0.5)), batch.merged(SGD_FOR_TEN)):
            for norms in (None, few, noisy(0.3, noise=0.01)):
                yield remembered(noisy(CHANCE, noise=noise), norms), context
                yield remembered([CHANCE, *noisy(CHANCE, noise=noise)[1:]], norms), context
    even = batch.merged(Context(facts=ModelFacts(class_shares=(0.1,) * 10)))
    for noise in (0.1, 0.2):
        for said in (
            Context(),
            Context(weight_decay=0.5),
            *ACTIVE,
            Context(facts=ModelFacts(saturated_unit_share=0.9)),
        ):
            for norms in (None, few, layered(0.0, 1.0)):
                layers = norms if isinstance(norms, dict) else None
                yield (
                    remembered(noisy(CHANCE, noise=noise), None if layers else norms, layers=layers),
                    even.merged(said),
                )
    for losses in (noisy(1.0, noise=0.1), decay(2.0, 1.0)):
        for facts in (None, ModelFacts(dead_unit_share=0.0, parameters=1000, update_to_weight=1e-3)):
            for norms in (few, noisy(0.3, noise=0.01)):
                yield (
                    remembered(losses, norms),
                    Context(
                        loss_name="mse",
                        baseline_loss=1.0,
                        batch_size=32,
                        facts=facts,
                        optimizer="sgd",
                        learning_rate=0.1,
                    ),
                )
    for norm in (400.0, 20.0, 1.0):
        yield remembered(noisy(30.0, noise=0.5), noisy(norm, noise=0.01 * norm)), batch
        yield remembered(noisy(30.0, noise=0.5), noisy(norm, noise=0.01 * norm)), TEN
    numbers = (np.array(decay(26.0, 8.5)) + 0.05 * RNG(13).normal(size=N)).tolist()
    yield remembered(numbers), TEN
    yield remembered(numbers, noisy(20.0)), TEN
    climb = (np.linspace(2.3, 80.0, N) + 0.3 * RNG(14).normal(size=N)).tolist()
    for context in (Context(), TEN, Context(optimizer="adam", learning_rate=1e-3), Context(batch_size=1)):
        yield remembered(climb), context
        yield remembered(climb, SUMMED), context


def jumps() -> Iterator[tuple[Memory, Context]]:
    """A loss that had come down jumps at step 150: for one batch, for good, or to go on rising."""
    learned = (np.array(decay(2.3, 0.3, 150)) + 0.01 * RNG(9).normal(size=150)).tolist()
    for after in ([9.0, *learned[-149:]], [9.0, *noisy(5.0, 149)], [2.5, *(4 * 1.5**k for k in range(20))]):
        for context in (TEN, Context(), Context(momentum=0.999), Context(optimizer="adam", learning_rate=1e-3)):
            yield remembered([*learned, *after]), context
            yield remembered([*learned, *after], noisy(0.4, 150 + len(after))), context


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
    *(ModelFacts(update_to_weight=ratio, dead_unit_share=0.9) for ratio in (1e-6, 1e-3, 0.2)),
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
    *(Context(optimizer="sgd", learning_rate=0.1, grad_clip=clip, facts=ModelFacts(update_to_weight=1e-6,
      hidden_activations=("relu",), dead_unit_share=dead)) for dead in (None, 0.0) for clip in (None, 1e-4)),
    Context(loss_name="mse", baseline_loss=2.3, facts=ModelFacts(initial_loss=2.3)),
    Context(loss_name="poisson_nll", facts=ModelFacts(initial_loss=1e9)),
    *(Context(num_classes=n, facts=ModelFacts(target_kind="classes", loss_expects="values")) for n in (2, 5)),
]  # fmt: skip


def broken_sights() -> Iterator[Seen]:
    """Losses without a lower bound, ones that grow by a factor or rest without noise, and logs by the epoch in which
    nothing was finite."""
    unbounded = remembered((-np.geomspace(1, 1e9, 60)).tolist())
    for context in (Context(), SGD, Context(momentum=0.999), Context(batch_size=1)):
        measured = gather(unbounded, context, since_step=0)
        yield Seen(found(Condition.DIVERGING, unbounded, rule="unbounded", current=-1e9), measured, context)
    growing = remembered(np.geomspace(1e5, 1e10, 12).tolist())
    grows = found(Condition.DIVERGING, growing, rule="doubling", steady=True, learning_rate_times_sharpness=2.8)
    for rate in (0.5, 0.01):
        stated = replace(SGD, learning_rate=rate)
        yield Seen(grows, gather(growing, stated), stated)
    smooth = remembered(decay(2.3, 0.8))
    for context in (Context(), TEN, Context(optimizer="adam", learning_rate=1e-5)):
        yield Seen(found(Condition.PLATEAU, smooth, onset=100), gather(smooth, context, since_step=100), context)
    for context in (Context(step_unit="epoch"), Context(step_unit="epoch", batch_size=1, momentum=0.999)):
        for name in ("loss", "validation_loss"):
            broke = replace(found(Condition.NON_FINITE, Memory()), series=name)
            yield Seen(broke, gather(broken(Memory(), losses=9), context), context)


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
    for memory, context in (*memories(), *further_memories(), *scattered(), *jumps()):
        for condition in PRIORS:
            yield Seen(found(condition, memory, **evidence), gather(memory, context, since_step=150), context)
    yield from broken_sights()
    bases = [remembered(FLAT), remembered(FLOOR), remembered([2.3, 80.0, 40.0, *FLAT[3:]])]
    for context in [*(TEN.merged(Context(facts=facts)) for facts in STATED), *SAID]:
        for memory in bases:
            for condition in PRIORS:
                yield Seen(found(condition, memory), gather(memory, context, since_step=150), context)
    for memory, context in ((bases[0], TEN), (bases[1], TEN), (bases[1], Context(batch_size=1)), *START_TOO_HIGH):
        broke = replace(found(Condition.NON_FINITE, memory), series="validation_loss")
        yield Seen(broke, gather(memory, context, since_step=150), context)
    yield from made_breaks.sights()
    yield from made_returns.sights()
