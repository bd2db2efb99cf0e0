"""The part of the zoo that PyTorch trains: small models with the faults that their programs have.

Labelled as the NumPy half is, by the injected cause and by what it did compared with the healthy twin. Needs torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from benchmarks.detection.labels import HEALTHY, Label, LabelledRun, context_json
from benchmarks.detection.programs.confusable import confusable
from benchmarks.detection.torch_models import Job
from benchmarks.detection.torch_training import train
from benchmarks.detection.zoo.faults import Fault, put, times
from benchmarks.detection.zoo.labelling import label_of
from benchmarks.detection.zoo.recipe import Recipe
from benchmarks.detection.zoo.training import Trace
from benchmarks.detection.zoo.views import View, context_seen, label_seen, points_seen, swing_seen, view_of
from losswatch_server.monitor.points import Context

VALIDATIONS = 25
"""Validations a run."""
ADAM = Recipe(task="tokens", optimizer="adam", learning_rate=0.003, steps=300)
BASES: dict[str, Job] = {
    "mlp-sgd": Job(model="mlp", recipe=Recipe(task="rings", hidden=(32, 32), learning_rate=0.15, steps=500)),
    "mlp-adam": Job(model="mlp", recipe=replace(ADAM, task="rings", hidden=(32, 32), steps=400)),
    "table-adam": Job(model="mlp", recipe=replace(ADAM, task="friedman", hidden=(32,), steps=400)),
    "cnn-sgd": Job(model="cnn", recipe=Recipe(task="glyphs", learning_rate=0.03, momentum=0.9, steps=350)),
    "cnn-adam": Job(model="cnn", recipe=replace(ADAM, task="glyphs")),
    "transformer-adam": Job(model="transformer", recipe=replace(ADAM, learning_rate=0.004, warmup_steps=40, steps=250)),
    "gru-adam": Job(model="gru", recipe=replace(ADAM, learning_rate=0.008)),
    "rnn-sgd": Job(model="rnn", recipe=Recipe(task="tokens", learning_rate=0.3, clip=1.0, steps=350)),
}
OF_THE_JOB = frozenset(Job.__dataclass_fields__) - {"model", "recipe"}
Changes = Callable[[Recipe], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One fault, or one healthy oddity, on some bases: what changes of a job, and from which share of the run on."""

    name: str
    bases: str
    change: Changes
    cause: str | None = None
    at: float = 0.0
    cure: dict[str, Any] | None = None
    """What makes the faulty job its healthy twin; without it the twin is the base."""
    also_ok: tuple[str, ...] = ()
    view: dict[str, Any] | None = None


def changed(job: Job, fields: dict[str, Any]) -> Job:
    """The job with fields of it, or of its recipe, set."""
    own = {name: value for name, value in fields.items() if name in OF_THE_JOB}
    recipe = {name: value for name, value in fields.items() if name not in OF_THE_JOB}
    return replace(job, recipe=replace(job.recipe, **recipe), **own)


def fault(cause: str, name: str, bases: str, change: Changes, at: float = 0.0, **cure: Any) -> Kind:
    """A fault; ``cure`` are the fields that the healthy twin has instead."""
    return Kind(cause=cause, name=name, bases=bases, change=change, at=at, cure=cure or None)


def odd(name: str, bases: str, change: Changes, *also_ok: str, **view: Any) -> Kind:
    """A healthy run; ``also_ok`` may fairly be said of it, ``view`` says how it is logged."""
    return Kind(name=name, bases=bases, change=change, also_ok=also_ok, view=view or None)


def later(share: float, field: str, value: Any) -> Changes:
    """The field is set at that share of the run."""
    return lambda recipe: {"changes": ((round(share * recipe.steps), field, value),)}


def hotter(share: float, factor: float) -> Changes:
    """The learning rate is multiplied at that share of the run."""
    return lambda r: {"changes": ((round(share * r.steps), "learning_rate", factor * r.learning_rate),)}


def bad_batch(share: float, size: float) -> Changes:
    """The inputs of one batch are multiplied."""
    return lambda recipe: {"bad_batches": (round(share * recipe.steps),), "bad_batch_size": size}


def gentle(recipe: Recipe) -> dict[str, Any]:
    """Batches of four at a rate that suits them."""
    return {"batch_size": 4, "learning_rate": recipe.learning_rate / 4, "steps": 2 * recipe.steps}


def small(size: int, factor: float) -> Changes:
    """So few samples, for so many times the steps."""
    return lambda recipe: {"train_size": size, "batch_size": 16, "steps": round(factor * recipe.steps)}


DEEP = put(blocks=6, learning_rate=0.022, warmup_steps=0, schedule="linear", steps=200)
FAULTS: tuple[Kind, ...] = (
    fault("gradients_accumulating", "no-zero-grad", "mlp-sgd mlp-adam cnn-sgd gru-adam", put(zeroes_gradients=False)),
    fault("parameters_not_updated", "no-step", "mlp-sgd cnn-adam transformer-adam", put(steps_optimizer=False)),
    fault("parameters_not_updated", "step-lost", "mlp-adam cnn-sgd", later(0.1, "steps_optimizer", False), at=0.1),
    fault("parameters_not_updated", "another-model", "mlp-adam cnn-sgd", put(holds="another")),
    fault("parameters_not_updated", "head-alone", "mlp-sgd cnn-sgd gru-adam", put(holds="head")),
    fault("parameters_not_updated", "plain-list", "mlp-sgd cnn-adam", put(registered=False)),
    fault("parameters_not_updated", "frozen", "mlp-adam transformer-adam", put(frozen=True)),
    fault("parameters_not_updated", "detached", "mlp-adam cnn-sgd", put(loss="detached")),
    fault("wrong_loss_function", "softmax-twice", "cnn-sgd mlp-adam gru-adam", put(loss="double_softmax")),
    fault("wrong_loss_function", "no-logarithm", "cnn-adam mlp-sgd", put(loss="nll_of_probabilities")),
    fault("wrong_loss_function", "class-numbers", "cnn-adam", put(loss="class_numbers")),
    fault("wrong_loss_function", "broadcast", "table-adam", put(loss="broadcast")),
    fault("learning_rate_too_high", "x15", "cnn-sgd rnn-sgd mlp-sgd", times(learning_rate=15)),
    fault("learning_rate_too_high", "x100", "mlp-adam cnn-adam gru-adam", times(learning_rate=100)),
    fault("learning_rate_too_high", "later", "cnn-sgd table-adam", hotter(0.5, 60), at=0.5),
    fault(
        "learning_rate_too_high", "no-clip", "rnn-sgd", lambda r: {"clip": None, "learning_rate": 8 * r.learning_rate}
    ),
    fault("learning_rate_too_low", "/200", "mlp-sgd cnn-adam transformer-adam rnn-sgd", times(learning_rate=1 / 200)),
    fault("no_warmup", "post-norm", "transformer-adam transformer-adam", DEEP, warmup_steps=100),
    fault("inputs_not_scaled", "x255", "mlp-sgd cnn-sgd cnn-adam table-adam", put(input_scale=255.0, input_offset=0.5)),
    fault("dead_activations", "bias", "mlp-sgd cnn-adam", put(bias=-10.0)),
    fault("saturated_activations", "six-sigmoids", "mlp-sgd mlp-adam", put(activation="sigmoid", hidden=(24,) * 6)),
    fault("poor_initialization", "normal", "mlp-adam cnn-sgd rnn-sgd", put(initialization="normal")),
    fault("poor_initialization", "zeros", "mlp-sgd cnn-adam", put(initialization="zeros")),
    fault("missing_nonlinearity", "linear", "mlp-adam table-adam", put(activation="linear")),
    fault("labels_uninformative", "shuffled", "cnn-adam gru-adam", put(label_noise=1.0)),
    fault("labels_uninformative", "later", "cnn-sgd mlp-adam", later(0.5, "label_noise", 1.0), at=0.5),
    fault("bad_batch", "x100", "mlp-adam cnn-sgd cnn-adam table-adam", bad_batch(0.6, 100.0), at=0.6),
    fault("bad_batch", "nan", "cnn-adam", bad_batch(0.5, float("nan")), at=0.5),
    fault("overfit_small_data", "100", "cnn-adam mlp-adam table-adam gru-adam", small(100, 1.5)),
    fault("gradient_clip_too_tight", "0.003", "mlp-sgd cnn-sgd", put(clip=0.003)),
    fault("precision_overflow", "fixed-scale", "mlp-adam cnn-sgd", put(precision="fp16", loss_scale=2.0**26)),
)

ALL = "mlp-sgd mlp-adam table-adam cnn-sgd cnn-adam transformer-adam gru-adam rnn-sgd"
FINE_TUNED = put(pretrained_steps=250, frozen=True)
OFTEN = {"epoch": 0, "every": 1, "decimals": None}
HEALTHY_KINDS: tuple[Kind, ...] = (
    odd("plain", f"{ALL} {ALL}", put()),
    odd("dropout", "mlp-adam cnn-sgd cnn-adam transformer-adam", put(dropout=0.2), validation=True),
    odd("batch-norm", "mlp-sgd cnn-sgd cnn-adam table-adam", put(batch_norm=True), validation=True),
    odd("cosine", "mlp-sgd cnn-adam transformer-adam gru-adam", put(schedule="cosine")),
    odd("linear", "mlp-adam cnn-sgd gru-adam", put(schedule="linear")),
    odd("grown-batch", "mlp-sgd cnn-adam", later(0.5, "batch_size", 128)),
    odd("step-drops", "mlp-adam cnn-sgd rnn-sgd", put(schedule="step")),
    odd("restarts", "mlp-sgd cnn-adam", put(schedule="restarts")),
    odd("bf16", "mlp-adam cnn-sgd", put(precision="bf16")),
    odd(
        "fp16-scaler",
        "mlp-adam cnn-sgd cnn-adam",
        put(precision="fp16", loss_scale=0.0),
        "non_finite",
        **OFTEN,
        grad_norm=True,
    ),
    odd("accumulating", "mlp-sgd cnn-sgd cnn-adam", put(accumulates=4, batch_size=8)),
    odd("small-batches", "mlp-adam cnn-sgd", gentle, "slow_convergence"),
    odd("mixed-scale", "mlp-sgd table-adam", put(input_scale=3.0)),
    odd("batch-norm-unscaled", "cnn-adam cnn-sgd", put(input_scale=255.0, batch_norm=True)),
    odd("label-noise", "mlp-adam cnn-adam", put(label_noise=0.3)),
    odd("clipped", "cnn-sgd gru-adam", put(clip=1.0)),
    odd("decayed", "cnn-adam transformer-adam", put(weight_decay=0.01)),
    odd("fine-tuned", "cnn-sgd cnn-adam", FINE_TUNED, "slow_convergence", "plateau", "not_learning"),
    odd("epochs", "mlp-adam cnn-sgd cnn-adam", put(), epoch=12, decimals=4, grad_norm=False, layers=False),
    odd("short", "cnn-adam table-adam", put(steps=40)),
)


@lru_cache(maxsize=32)
def trained(job: Job) -> tuple[Trace, tuple[str, ...]]:
    """The trace of a job and its layers' names; faults share twins."""
    every = max(1, job.recipe.steps // VALIDATIONS)
    return train(replace(job, recipe=replace(job.recipe, validates_every=every)))


def logged(run: LabelledRun, names: tuple[str, ...]) -> LabelledRun:
    """The run with its layers called as the framework calls them."""
    named = {f"layer{i}": name for i, name in enumerate(names)}
    points = tuple(
        p._replace(layers=p.layers and {named[key]: norm for key, norm in p.layers.items()}) for p in run.points
    )
    return replace(run, points=points)


def context_of(job: Job, view: View) -> Context:
    """What the client tells of the job."""
    context = context_seen(job.recipe, view)
    loss_name = "mse" if job.loss == "class_numbers" else context.loss_name
    batch = context.batch_size and job.accumulates * context.batch_size
    return replace(context, framework="pytorch", loss_name=loss_name, batch_size=batch)


def faulty_run(of: Kind, name: str, seed: int, bases: Mapping[str, Job] = BASES) -> LabelledRun:
    """Train a fault and its twin, label the difference, log it."""
    base = changed(bases[name], {"seed": seed})
    job = changed(base, of.change(base.recipe))
    twin = base if of.cure is None else changed(job, of.cure)
    run_id = f"torch-{of.cause}-{of.name}-{name}-{seed}"
    (trace, names), (good, _) = trained(job), trained(twin)
    view = view_of(run_id, job.recipe.steps, validation=of.cause == "overfit_small_data")
    points = points_seen(trace, view)
    # a loss of another scale than the twin's is judged by its own curve
    own = job.loss in ("double_softmax", "nll_of_probabilities", "class_numbers")
    injected = Fault(
        id=run_id,
        # the labelling of the perceptrons knows NaN in the data as a bad batch; the cause is put right below
        cause="bad_batch" if of.cause == "non_finite_data" else of.cause or "",
        recipe=replace(job.recipe, loss=job.loss if own else "default"),
        twin=twin.recipe,
        at=round(of.at * base.recipe.steps),
    )
    label = label_of(injected, trace, good, swing_seen=swing_seen(points, points_seen(good, view)))
    label = label_seen(label, points, view)
    if label.cause:
        label = replace(label, cause=of.cause, cause_also_ok=confusable(of.cause, view.context))
    if job.loss == "class_numbers" and label.onset_step is not None and trace.evaluated[-1] < 0.5 * trace.evaluated[0]:
        # as for every regression: its log alone does not say that it should end lower
        label = replace(label, also_ok=(*label.also_ok, HEALTHY))
    run = LabelledRun(
        id=run_id,
        points=points,
        context=context_of(job, view),
        label=label,
        family=f"torch {job.model}",
        full_context=context_json(context_of(job, replace(view, context="full"))),
        sent=view.context,
    )
    return logged(run, names)


def healthy_run(of: Kind, name: str, seed: int, bases: Mapping[str, Job] = BASES) -> LabelledRun:
    """Train a healthy job and log it."""
    base = changed(bases[name], {"seed": seed})
    job = changed(base, of.change(base.recipe))
    run_id = f"torch-healthy-{of.name}-{name}-{seed}"
    view = replace(view_of(run_id, job.recipe.steps, validation=False), **(of.view or {}))
    trace, names = trained(job)
    run = LabelledRun(
        id=run_id,
        points=points_seen(trace, view),
        context=context_of(job, view),
        label=Label(condition=HEALTHY, also_ok=of.also_ok, why=of.name),
        family=f"torch {job.model}",
        full_context=context_json(context_of(job, replace(view, context="full"))),
        sent=view.context,
    )
    return logged(run, names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one half of the zoo trains in PyTorch."""

    bases: Mapping[str, Job]
    faults: tuple[Kind, ...]
    healthy: tuple[Kind, ...]

    def runs(self, seed: int) -> Iterator[tuple[Kind, str, int]]:
        """Every kind on every base it names; two seeds of the data in turn, so that faults share twins."""
        for of in (*self.faults, *self.healthy):
            for position, name in enumerate(of.bases.split()):
                yield of, name, 31 * seed + (position % 2 if of.cause else 500 + position)


def plan_of(half: str) -> Plan:
    """The plan of a half."""
    if half == "develop":
        return Plan(bases=BASES, faults=FAULTS, healthy=HEALTHY_KINDS)
    from benchmarks.detection import torch_test_half

    return Plan(bases=torch_test_half.BASES, faults=torch_test_half.FAULTS, healthy=torch_test_half.HEALTHY_KINDS)


def runs_on(half: str, base: str, seed: int, left_out: Counter[str]) -> Iterator[LabelledRun]:
    """Every run of a half on one base; a fault that does no visible harm is left out and counted."""
    plan = plan_of(half)
    for of, name, drawn in plan.runs(seed):
        if name != base:
            continue
        run = (faulty_run if of.cause else healthy_run)(of, name, drawn, plan.bases)
        if of.cause and run.label.healthy:
            left_out["unaffected"] += 1
        else:
            yield run
