"""``context.facts`` as JSON: what a client states of its model, its data and its optimiser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from losswatch_server.codec.hyperparameters import MAX_TEXT, read_extra
from losswatch_server.codec.numbers import NumberRefusedError, read_integer, read_number
from losswatch_server.codec.problems import name_problem, printable, text_problem
from losswatch_server.monitor.context_names import FACTS
from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.points import MAX_STEP

FACT_COUNTS = frozenset({"parameters", "trainable_parameters", "optimizer_parameters", "dataset_size"})
FACT_NUMBERS = frozenset({"input_mean", "target_mean", "initial_loss"})
FACT_SIZES = frozenset(
    {
        "input_std",
        "input_max_abs",
        "target_std",
        "dead_unit_share",
        "saturated_unit_share",
        "update_to_weight",
        "loss_scale",
    }
)
"""Numbers that are never negative."""
FACT_SWITCHES = frozenset({"shuffled", "overfits_one_batch", "gradients_cleared"})
FACT_CHOICES = {
    "loss_expects": ("logits", "probabilities", "log_probabilities", "values"),
    "target_kind": ("classes", "values"),
}
FACT_TEXTS = frozenset({"output_activation", *FACT_CHOICES})
FACT_WORD_LISTS = frozenset({"hidden_activations", "normalization"})
FACT_NUMBER_LISTS = frozenset({"class_shares"})
MAX_LIST = 1024


def read_facts(data: Any) -> tuple[ModelFacts | None, dict[str, Any]]:
    """The facts, and what is none of the contract's: kept as hyper-parameters ``facts.NAME``. Raises ValueError.

    A word that is none of a fact's choices is kept so too.
    """
    if data is None:
        return None, {}
    if not isinstance(data, Mapping):
        raise ValueError('facts must be an object, such as {"parameters": 1500, "input_max_abs": 255}')
    known: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for name, value in data.items():
        if value is None:
            continue
        read = _READERS.get(name)
        if read is None or (name in FACT_CHOICES and value not in FACT_CHOICES[name]):
            if problem := name_problem(name, "the name of a fact"):
                raise ValueError(problem)
            others[FACTS + name] = read_extra(FACTS + name, value)
        elif (fact := read(name, value)) is not None:
            known[name] = fact
    return (ModelFacts(**known) if known else None), others


def _count(name: str, value: Any) -> int | None:
    return None if value == -1 and not isinstance(value, bool) else read_integer(value, name, 0, MAX_STEP)


def _size(name: str, value: Any) -> float | None:
    number = read_number(value, name)
    if number is not None and number < 0:
        raise NumberRefusedError(f"{name} is {number:g}; it cannot be negative, leave it out when it is not known")
    return number


def _number(name: str, value: Any) -> float | None:
    return read_number(value, name)


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError(f"{name} must be text of at most {MAX_TEXT} characters, such as softmax")
    if problem := text_problem(value, name):
        raise ValueError(problem)
    return value


def _listed(read: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    def read_list(name: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError(f"{printable(name)} must be a list")
        if len(value) > MAX_LIST:
            raise ValueError(f"{name} has {len(value)} entries; at most {MAX_LIST} are kept")
        return tuple(read(name, item) for item in value)

    return read_list


def _share(name: str, value: Any) -> float:
    number = _size(name, value)
    if number is None:
        raise ValueError(f"{name} must be a list of numbers")
    return number


_READERS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(FACT_COUNTS, _count),
    **dict.fromkeys(FACT_NUMBERS, _number),
    **dict.fromkeys(FACT_SIZES, _size),
    **dict.fromkeys(FACT_SWITCHES, _switch),
    **dict.fromkeys(FACT_TEXTS, _text),
    **dict.fromkeys(FACT_WORD_LISTS, _listed(_text)),
    **dict.fromkeys(FACT_NUMBER_LISTS, _listed(_share)),
}
