"""A check is one plain sentence: what is changed, from what to what, and what then tells the causes apart."""

from __future__ import annotations

import re
from itertools import combinations

import pytest

from losswatch_server.monitor.diagnosis.changes import NOTHING_KNOWN, Changes, changes
from losswatch_server.monitor.diagnosis.checks import separating_check
from losswatch_server.monitor.diagnosis.measures import gather
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import CauseName as C
from monitor.diagnosis.remembered import remembered

KNOWN = Changes(rate=0.02, batch=4, decay=0.5, momentum=0.99, clip=0.01, level=0.00568)
EVERY = [(cause, None) for cause in C] + list(combinations(C, 2))


@pytest.mark.parametrize("known", [NOTHING_KNOWN, KNOWN])
def test_every_check_is_whole_and_no_check_names_a_change_without_its_numbers(known: Changes) -> None:
    for cause, rival in EVERY:
        text = separating_check(cause, rival, known)
        assert re.fullmatch(r"[A-Z].*\.", text), text
        assert not re.search(r"[{}]|None|unknown|\btimes as (wide|large)\b|\btenfold\b|\bdouble the\b", text), text


@pytest.mark.parametrize(
    ("cause", "rival", "told"),
    [
        (C.LEARNING_RATE_TOO_HIGH, None, "lowered from 0.02 to 0.002"),
        (C.LEARNING_RATE_TOO_HIGH, C.LABELS_UNINFORMATIVE, "lowered from 0.02 to 0.002"),
        (C.LEARNING_RATE_TOO_LOW, C.INSUFFICIENT_CAPACITY, "raised from 0.02 to 0.2"),
        (C.BATCH_TOO_SMALL, C.LEARNING_RATE_TOO_HIGH, "raised from 4 to 32"),
        (C.WEIGHT_DECAY_TOO_STRONG, C.INSUFFICIENT_CAPACITY, "lowered from 0.5 to 0"),
        (C.MOMENTUM_TOO_HIGH, None, "lowered from 0.99 to 0.9"),
        (C.GRADIENT_CLIP_TOO_TIGHT, None, "raised from 0.01 to 0.1"),
        (C.MISSING_NONLINEARITY, C.INSUFFICIENT_CAPACITY, "10 units become 20"),
        (C.MISSING_NONLINEARITY, C.INSUFFICIENT_CAPACITY, "a floor of 0.00568"),
    ],
)
def test_a_check_says_from_what_to_what_where_it_is_known(cause: C, rival: C | None, told: str) -> None:
    assert told in separating_check(cause, rival, KNOWN)


def test_what_is_known_of_a_run_stands_in_its_checks() -> None:
    memory = remembered([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.5, 0.5], rates=[0.2] * 8)
    context = Context(optimizer="sgd", batch_size=16, weight_decay=0.1, momentum=0.95, grad_clip=2.0)
    known = changes(gather(memory, context), context)
    assert (known.rate, known.batch, known.decay, known.momentum, known.clip) == (0.2, 16, 0.1, 0.95, 2.0)
