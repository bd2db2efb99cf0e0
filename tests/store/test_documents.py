"""Documents in the database come back exactly, whatever a context holds."""

from __future__ import annotations

import pytest

from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.points import Context
from losswatch_server.store.documents import DamagedDocumentError, context_from, context_text

FACTS = ModelFacts(parameters=7, class_shares=(0.25, 0.75), normalization=("batch",), shuffled=False, input_std=1 / 3)


@pytest.mark.parametrize("context", [Context(), Context(facts=FACTS, baseline_loss=-1 / 3, layer_order=("a", "b"))])
def test_a_context_comes_back_exactly(context: Context) -> None:
    assert context_from(context_text(context)) == context


@pytest.mark.parametrize("facts", ['{"depth": 3}', "[]", '{"parameters": "many"}'])
def test_damaged_facts_are_told_as_damage(facts: str) -> None:
    with pytest.raises(DamagedDocumentError):
        context_from(f'{{"facts": {facts}}}')
