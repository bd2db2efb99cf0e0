"""Whatever the numbers: facts, causes, advice and forecast never fail and stay probabilities."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from losswatch_server.monitor.advice import ACTIONS, advise
from losswatch_server.monitor.diagnosis.engine import rank
from losswatch_server.monitor.diagnosis.measures import gather
from losswatch_server.monitor.forecast import forecast
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import Condition
from monitor.diagnosis.remembered import found, remembered

numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, 1e-300, 1e-12, 1e30, 1e300, -1e308, 1.7e308, 2.3026]),
    st.floats(0.0, 10.0),
)
positive = st.one_of(st.floats(0.0, 10.0), st.sampled_from([0.0, 1e-300, 1e300, 1.7e308]))
contexts = st.fixed_dictionaries(
    {},
    optional={
        "optimizer": st.sampled_from(["sgd", "adam", "lion", ""]),
        "learning_rate": st.sampled_from([0.0, 1e-30, 1e-3, 0.1, 1e30]),
        "momentum": st.sampled_from([0.0, 0.9, 0.999, 1.0, 2.0, -1.0]),
        "batch_size": st.sampled_from([0, 1, 4, 32]),
        "num_classes": st.sampled_from([0, 1, 2, 10]),
        "loss_name": st.sampled_from(["mse", "cross_entropy", "binary_cross_entropy", "gaussian_nll"]),
        "weight_decay": st.sampled_from([0.0, 1e-4, 1.0]),
        "grad_clip": st.sampled_from([0.0, 1e-3, 1.0, 1e30]),
        "precision": st.sampled_from(["fp16", "bf16", "fp32", "odd"]),
        "total_steps": st.sampled_from([0, 10, 10**12]),
        "step_unit": st.sampled_from(["step", "epoch"]),
        "steps_per_epoch": st.sampled_from([0, 10]),
        "steps_per_point": st.sampled_from([0, 5]),
    },
)


@given(
    losses=st.lists(numbers, max_size=90),
    repeats=st.integers(1, 5),
    norm=st.one_of(st.none(), positive),
    drift=st.floats(0.5, 2.0),
    rate=st.one_of(st.none(), st.sampled_from([0.0, 1e-3, 1e10])),
    layer=st.one_of(st.none(), positive),
    validation=st.lists(numbers, max_size=8),
    given_context=contexts,
    condition=st.sampled_from(list(Condition)),
    evidence=st.fixed_dictionaries(
        {},
        optional={
            "steady": st.booleans(),
            "growth_per_step": positive,
            "difference_ratio": positive,
            "ratio_spread": positive,
            "rises": st.integers(0, 30),
            "steps_per_rise": st.one_of(st.integers(0, 10), st.none()),
            "learning_rate_times_sharpness": positive,
        },
    ),
)
def test_no_numbers_break_the_diagnosis(
    losses: list[float],
    repeats: int,
    norm: float | None,
    drift: float,
    rate: float | None,
    layer: float | None,
    validation: list[float],
    given_context: dict[str, Any],
    condition: Condition,
    evidence: dict[str, Any],
) -> None:
    losses = losses * repeats
    norms = None if norm is None else [min(norm * drift**i, 1.7e308) for i in range(len(losses))]
    layers = None if layer is None else {"a": [layer] * len(losses), "b": [1.0] * len(losses)}
    memory = remembered(
        losses, norms, rates=None if rate is None else [rate] * len(losses), layers=layers, validation=validation
    )
    context = Context(**given_context)
    finding = found(condition, memory, onset=len(losses) // 2, **evidence)
    facts = gather(memory, context, since_step=finding.onset_step)
    causes = rank(finding, facts, context)
    assert all(0 <= c.probability <= 1 and c.check for c in causes)
    assert sum(c.probability for c in causes) <= 1 + 1e-9
    assert [c.probability for c in causes] == sorted((c.probability for c in causes), reverse=True)
    for advice in advise(finding, causes, facts, context):
        assert advice.action in ACTIONS
        assert not isinstance(advice.value, float) or math.isfinite(advice.value)
    told = forecast(memory, context)
    if told.interval is not None:
        assert told.interval[0] <= told.interval[1]
        assert told.floor is not None
        assert math.isfinite(told.floor)
