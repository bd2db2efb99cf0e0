"""Contexts as JSON and back: typed fields, tags, and any other name with a plain value."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from losswatch_server.codec.damage import MISSHAPEN, DamagedCellError
from losswatch_server.codec.encoding import exact_text, plain
from losswatch_server.codec.facts import read_facts
from losswatch_server.codec.hyperparameters import MAX_TAGS, MAX_TEXT, read_extra
from losswatch_server.codec.numbers import NumberRefusedError, read_integer, read_number
from losswatch_server.codec.problems import (
    BodyRefusedError,
    Problem,
    did_you_mean,
    name_problem,
    pointer,
    printable,
    text_problem,
)
from losswatch_server.codec.shapes import shape_check
from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.points import CONTEXT_FIELDS, MAX_STEP, Context

_check = shape_check(Context)
NUMBERS = frozenset({"learning_rate", "momentum", "weight_decay", "grad_clip", "expected_gap_s", "baseline_loss"})
SIGNED = frozenset({"baseline_loss"})
"""Numbers that may be negative: the loss of a density may be."""
INTEGERS = frozenset({"batch_size", "num_classes", "total_steps", "warmup_steps", "steps_per_epoch", "steps_per_point"})
SWITCHES = frozenset({"nesterov", "full_batch"})
CHOICES = {
    "grad_norm_is": ("before_clip", "after_clip"),
    "step_unit": ("step", "epoch"),
    "objective": ("minimize", "none"),
}
TEXTS = frozenset({"group", "framework", "optimizer", "loss_name", "precision", *CHOICES})

MAX_EXTRA = 256
MAX_LAYER_ORDER = 1024

_MISSPELT = {
    "lr": "learning_rate",
    "loss_function": "loss_name",
    "n_classes": "num_classes",
    "bs": "batch_size",
    "max_steps": "total_steps",
    "opt": "optimizer",
}


def context_json(context: Context, *, exact: bool = False) -> dict[str, Any]:
    """The fields that are given, in the contract's order; other hyper-parameters beside them, or, ``exact``, apart."""
    if exact:
        exactly = {name: value for name in CONTEXT_FIELDS if (value := getattr(context, name)) not in (None, {})}
        return exactly if context.facts is None else {**exactly, "facts": context.facts.given()}
    given: dict[str, Any] = {}
    for name in CONTEXT_FIELDS:
        value = getattr(context, name)
        if name not in ("tags", "extra", "facts") and value is not None:
            given[name] = plain(value)
    if context.facts is not None:
        given["facts"] = plain(context.facts.given())
    for name, value in context.extra.items():
        given.setdefault(name, plain(value))
    if context.tags:
        given["tags"] = dict(context.tags)
    return given


def context_text(context: Context) -> str:
    """The exact form, in which ``extra`` stays apart and SQLite's JSON functions find every number finite."""
    return exact_text(context_json(context, exact=True))


def context_of_text(text: str | bytes) -> Context:
    """The exact inverse of ``context_text``. Raises DamagedCellError."""
    try:
        given = json.loads(text)
        _check(given)
        if "layer_order" in given:
            given["layer_order"] = tuple(given["layer_order"])
        if "facts" in given:
            given["facts"] = ModelFacts.of(given["facts"])
        return Context(**given)
    except MISSHAPEN as error:
        raise DamagedCellError(f"not a context: {error}") from error


def read_context(data: Any, at: tuple[str | int, ...] = (), *, strict: bool = False) -> Context:
    """The context that a request gives. ``at`` is its place in the body. Raises BodyRefusedError.

    A context sharpens the advice and is no right to an answer: a word that is none of a field's choices (a step
    unit of "row") is kept as a hyper-parameter of that name; ``strict`` refuses it, for what a person typed.

    ``null``, "NA", non-finite numbers, and -1 for a count mean "not known", as in the frameworks they come from.
    """
    if data is None:
        return Context()
    if not isinstance(data, Mapping):
        raise BodyRefusedError(
            [Problem(pointer(*at), 'the context must be an object, such as {"learning_rate": 0.01}')]
        )
    fields: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in data.items():
        try:
            if name == "facts":
                facts, others = read_facts(value)
                fields[name] = facts
                extra |= others
            elif name in fields_known and (name not in CHOICES or strict or value is None or value in CHOICES[name]):
                fields[name] = _read_field(name, value)
            elif value is not None:
                extra[name] = read_extra(name, value)
        except ValueError as refusal:
            problems.append(Problem(pointer(*at, name), str(refusal)))
    if len(extra) > MAX_EXTRA:
        problems.append(
            Problem(pointer(*at), f"{len(extra)} hyper-parameters of your own; at most {MAX_EXTRA} are kept")
        )
    if problems:
        raise BodyRefusedError(problems, len(problems))
    tags = fields.pop("tags", None) or {}
    return Context(**fields, tags=tags, extra=extra)


def context_from_text(items: Mapping[str, str]) -> Context:
    """The context from text, as query parameters and command-line options give it ("0.01", "true", "sgd").

    Names must be fields of the context, or "tag" values as ``tags``; raises BodyRefusedError with a suggestion.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, text in items.items():
        if name not in fields_known or name in _NO_TEXT:
            meant = did_you_mean(name, fields_known - _NO_TEXT, _MISSPELT)
            hint = (
                f"; did you mean {meant}?" if meant else f"; known are {', '.join(sorted(TEXTS | NUMBERS | INTEGERS))}"
            )
            problems.append(Problem(pointer(name), f"{printable(name)} is no field of the context{hint}"))
            continue
        values[name] = _from_text(name, text)
    if problems:
        raise BodyRefusedError(problems)
    return read_context(values, strict=True)


fields_known = frozenset(CONTEXT_FIELDS) - {"extra"}
_NO_TEXT = frozenset({"layer_order", "tags", "facts"})
"""Fields that no single word of text can give."""


def _read_field(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in NUMBERS:
        return _read_amount(name, value)
    if name in INTEGERS:
        return _read_count(name, value)
    if name in SWITCHES:
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be true or false")
        return value
    if name in TEXTS:
        return _read_text(name, value)
    return _read_tags(value) if name == "tags" else _read_layer_order(value)


def _read_amount(name: str, value: Any) -> float | None:
    number = read_number(value, name)
    if number is None or not math.isfinite(number):
        return None
    if number < 0 and name not in SIGNED:
        raise NumberRefusedError(f"{name} is {number:g}; it cannot be negative, leave it out when it is not known")
    return number


def _read_count(name: str, value: Any) -> int | None:
    if value in (-1, "NA") and not isinstance(value, bool):
        return None
    return read_integer(value, name, 0, MAX_STEP)


def _read_text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(
            f'{name} must be text, such as "{"sgd" if name == "optimizer" else CHOICES.get(name, ["…"])[0]}"'
        )
    if len(value) > MAX_TEXT:
        raise ValueError(f"{name} has {len(value)} characters; at most {MAX_TEXT} are kept, so shorten it")
    if problem := text_problem(value, name):
        raise ValueError(problem)
    choices = CHOICES.get(name)
    if choices and value not in choices:
        raise ValueError(f'{name} is "{printable(value)}"; it must be {" or ".join(choices)}')
    return value


def _read_tags(value: Any) -> dict[str, str]:
    """An object of texts; a list of words is taken as tags without a value."""
    if isinstance(value, list):
        value = dict.fromkeys((item if isinstance(item, str) else "" for item in value), "")
    if not isinstance(value, dict):
        raise ValueError('tags must be an object of texts, such as {"team": "vision"}')
    if len(value) > MAX_TAGS:
        raise ValueError(f"{len(value)} tags; at most {MAX_TAGS} are kept")
    tags = {}
    for name, text in value.items():
        if problem := name_problem(name, "the name of a tag"):
            raise ValueError(problem)
        match text:
            case str():
                pass
            case bool():
                text = "true" if text else "false"
            case int() | float():
                text = str(text)
            case _:
                raise ValueError(f'the tag "{printable(name)}" must be text')
        if len(text) > MAX_TEXT:
            raise ValueError(f'the tag "{printable(name)}" is longer than {MAX_TEXT} characters; shorten it')
        if problem := text_problem(text, f'the tag "{printable(name)}"'):
            raise ValueError(problem)
        tags[name] = text
    return tags


def _read_layer_order(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError("layer_order must be a list of layer names, from the input to the output")
    if len(value) > MAX_LAYER_ORDER:
        raise ValueError(f"layer_order names {len(value)} layers; at most {MAX_LAYER_ORDER} are kept")
    for name in value:
        if problem := name_problem(name, "the name of a layer"):
            raise ValueError(problem)
    return tuple(value)


def _from_text(name: str, text: str) -> Any:
    word = text.strip()
    if name in NUMBERS or name in INTEGERS:
        try:
            return int(word) if name in INTEGERS else float(word)
        except ValueError:
            return word  # read_context refuses it with a sentence
    if name in SWITCHES:
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(word.lower(), word)
    return word
