"""Misspelt names in a context: whatever is no field is kept as a hyper-parameter, and then sharpens no advice."""

from __future__ import annotations

from functools import lru_cache

from losswatch_server.monitor.model_facts import FACT_NAMES
from losswatch_server.monitor.points import CONTEXT_FIELDS, Context

_SYNONYMS = {
    "lr": "learning_rate",
    "wd": "weight_decay",
    "bs": "batch_size",
    "opt": "optimizer",
    "loss_fn": "loss_name",
    "loss_function": "loss_name",
    "n_classes": "num_classes",
    "max_steps": "total_steps",
}
_WORDS_OF_THEIR_OWN = frozenset({"patch_size"})
"""Common hyper-parameters that lie within two letters of a field and mean something else."""

_FIELDS = tuple(name for name in CONTEXT_FIELDS if name not in ("tags", "extra"))
FACTS = "facts."
"""What stands before the name of a fact that is none of the contract's, among the hyper-parameters."""


def misspelt(context: Context) -> tuple[str, ...]:
    """A note for each hyper-parameter that was probably meant as a field of the context that is not given."""
    found = ((name, meant(name)) for name in context.extra)
    return tuple(
        f"{name} is kept as a hyper-parameter and sharpens no advice; did you mean {field}?"
        for name, field in found
        if field is not None and not _is_given(context, field)
    )


def _is_given(context: Context, field: str) -> bool:
    if field.startswith(FACTS):
        return context.facts is not None and getattr(context.facts, field.removeprefix(FACTS)) is not None
    return getattr(context, field) is not None


@lru_cache(maxsize=4096)
def meant(name: str) -> str | None:
    """The field that ``name`` is a slip of: a synonym, other separators, or at most two letters wrong."""
    folded = name.strip().lower().replace("-", "_").replace(" ", "_")
    if name in _FIELDS or folded in _WORDS_OF_THEIR_OWN or len(folded) > 32:
        return None
    if folded in _FIELDS or folded in _SYNONYMS:
        return _SYNONYMS.get(folded, folded)
    if folded.startswith(FACTS):
        own = folded.removeprefix(FACTS)
        return FACTS + own if own in FACT_NAMES else _nearest(own, FACT_NAMES, FACTS)
    return FACTS + folded if folded in FACT_NAMES else _nearest(folded, _FIELDS)


def _nearest(folded: str, names: tuple[str, ...], prefix: str = "") -> str | None:
    if len(folded) < 5:
        return None
    best = min(names, key=lambda name: slips(folded, name))
    return prefix + best if slips(folded, best) <= (1 if len(folded) < 8 else 2) else None


def slips(one: str, other: str) -> int:
    """Letters left out, put in, changed or swapped between two words (Damerau 1964, optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, wanted in enumerate(other, 1):
            cost = min(before[j] + 1, row[-1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
