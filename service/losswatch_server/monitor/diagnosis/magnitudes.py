"""How much each row tells of each cause, in log-odds: its grade, or what was fitted; kept as data.

``magnitudes.json`` holds for each row and cause the fitted value and how many runs were behind it, for each condition
and cause what is added to the base rate that was set by hand (``priors``), and temperatures, by
which the scores are divided so that the probabilities are frequencies: one for each condition, times one for how much
the client said of the job (little, its settings, or facts). `make fit` writes it. A row and cause that are not in it
are worth their grade.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from losswatch_server.monitor.diagnosis.evidence.row import Grade
from losswatch_server.monitor.diagnosis.priors import PRIORS, RARE
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import CauseName, Condition

FILE = "magnitudes.json"


@dataclass(frozen=True, slots=True)
class Magnitudes:
    """Fitted values; empty ones leave every row at its grade."""

    rows: Mapping[tuple[str, str], float] = field(default_factory=dict)
    base_rates: Mapping[tuple[str, str], float] = field(default_factory=dict)
    temperatures: Mapping[str, float] = field(default_factory=dict)
    by_knowledge: Mapping[str, float] = field(default_factory=dict)

    def of(self, row: str, cause: CauseName, grade: Grade) -> float:
        """The magnitude of a row for a cause, without its sign."""
        return self.rows.get((row, cause), grade.log_odds)

    def base_rate(self, condition: Condition, cause: CauseName) -> float:
        """Log-odds of a cause of a condition before anything else is known."""
        return PRIORS[condition].get(cause, RARE) + self.base_rates.get((condition, cause), 0.0)

    def temperature(self, condition: Condition, context: Context) -> float:
        """By what the scores of a condition are divided, for what is known of the job."""
        return self.temperatures.get(condition, 1.0) * self.by_knowledge.get(knowledge(context), 1.0)


def knowledge(context: Context) -> str:
    """How much the client said of the job: ``facts``, ``settings`` (optimiser, rate and batch) or ``little``."""
    if context.facts is not None:
        return "facts"
    named = context.optimizer is not None and context.learning_rate is not None
    return "settings" if named and (context.batch_size is not None or context.full_batch) else "little"


def read(data: Mapping[str, Any]) -> Magnitudes:
    """The magnitudes that ``magnitudes.json`` describes."""
    rows, base_rates = (
        {(of, cause): entry["value"] for of, causes in data.get(key, {}).items() for cause, entry in causes.items()}
        for key in ("rows", "base_rates")
    )
    temperatures, known = (
        {name: entry["value"] for name, entry in data.get(key, {}).items()} for key in ("temperatures", "by_knowledge")
    )
    return Magnitudes(rows, base_rates, temperatures, known)


def load() -> Magnitudes:
    """The magnitudes that are kept beside this module."""
    text = (resources.files("losswatch_server.monitor.diagnosis") / FILE).read_text(encoding="utf-8")
    return read(json.loads(text))


MAGNITUDES = load()
