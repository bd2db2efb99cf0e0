"""What people call their numbers, as the fields of a point: the one table, of the client and of the service. Pure.

A name is compared in lower case with every other sign than letters and digits as ``_``: ``Train/Loss`` is
``train_loss``. Of several names of one field in a run, the one that came first keeps the field, of those that came
together the one that stands first in the table; the others stay metrics under their own names. So the mean over a whole
training, which some trainers call ``train_loss`` and log at the end, never contradicts the ``loss`` of its last step.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

TABLE: Mapping[str, Tuple[str, ...]] = {
    "loss": (
        "loss",
        "train_loss",
        "training_loss",
        "loss_train",
        "loss_training",
        "loss_step",
        "train_loss_step",
        "training_loss_step",
        "batch_loss",
        "train_batch_loss",
        "total_loss",
        "train_total_loss",
    ),
    "validation_loss": (
        "validation_loss",
        "val_loss",
        "valid_loss",
        "eval_loss",
        "evaluation_loss",
        "dev_loss",
        "test_loss",
        "loss_val",
        "loss_valid",
        "loss_validation",
        "loss_eval",
        "loss_test",
        "val_loss_epoch",
        "validation_loss_epoch",
        "val_total_loss",
        "eval_total_loss",
    ),
    "grad_norm": (
        "grad_norm",
        "gradient_norm",
        "gradnorm",
        "train_grad_norm",
        "train_gradient_norm",
        "training_grad_norm",
        "global_grad_norm",
        "grad_norm_total",
        "total_grad_norm",
        "grad_2_0_norm_total",
    ),
    "learning_rate": (
        "learning_rate",
        "lr",
        "train_learning_rate",
        "train_lr",
        "training_lr",
        "learning_rate_step",
        "lr_adam",
        "lr_adamw",
        "lr_sgd",
        "lr_rmsprop",
    ),
    "epoch": ("epoch", "train_epoch", "epochs"),
    "step": (
        "step",
        "global_step",
        "training_step",
        "train_step",
        "train_global_step",
        "trainer_global_step",
        "iteration",
        "iter",
    ),
}
"""By field, the names that stand for it, the best first. ``step`` counts where a number has no step of its own."""

METRIC = "metric"
"""In rules: a metric of its own, whatever the table says."""

_BOOSTED = re.compile(
    r"(?:(train|training|learn|dtrain|validation_0)|valid|valid_\d|validation|validation_\d|val|eval|eval_\d|test|dtest)"
    r"-(?:binary_|multi_|m)?(?:logloss|rmse|rmsle|mse|mae|l1|l2|error_loss|cross_entropy|huber|poisson|quantile)"
)
"""``train-logloss``, ``valid_0-l2``: data set and metric of boosted trees, as their callbacks join them."""
_OTHER_SIGNS = re.compile(r"[^a-z0-9]+")
_FIELDS = {name: field for field, names in TABLE.items() for name in names}
_RANKS = {name: rank for names in TABLE.values() for rank, name in enumerate(names)}
_ANY_PROJECT = ""

Rules = Mapping[str, Mapping[str, str]]
"""By project ("" for all), by folded name, the field."""


def folded(name: str) -> str:
    """The name as names are compared."""
    return _OTHER_SIGNS.sub("_", name.lower()).strip("_")


def field(name: str, rules: Optional[Mapping[str, str]] = None) -> str:
    """The field that a metric's name stands for, or "" for a metric of its own: ``train/loss`` is ``loss``."""
    known = folded(name)
    given = (rules or {}).get(known)
    if given is not None:
        return "" if given == METRIC else given
    found = _FIELDS.get(known, "")
    if not found:
        boosted = _BOOSTED.fullmatch(name.lower())
        if boosted is not None:
            return "loss" if boosted[1] else "validation_loss"
    return found


def read_rules(text: str) -> Rules:
    """Rules as LOSSWATCH_METRIC_NAMES writes them: ``objective=loss, team-a:dev_ce=validation_loss, lr=metric``.

    What stands before a colon is the project that the rule is for. Raises ValueError with what is wrong.
    """
    rules: Dict[str, Dict[str, str]] = {}
    for rule in filter(None, map(str.strip, text.replace("\n", ",").split(","))):
        left, equals, right = (part.strip() for part in rule.rpartition("="))
        project, _, name = left.rpartition(":")
        if not equals or not folded(name):
            raise ValueError(f"{rule!r} is no rule; one is written name=field, as in objective=loss")
        if right not in TABLE and right != METRIC:
            raise ValueError(f"{rule!r}: there is no field {right!r}; there are {', '.join(TABLE)}, and {METRIC}")
        rules.setdefault(project.strip(), {})[folded(name)] = right
    return rules


def rules_of(rules: Rules, project: str) -> Dict[str, str]:
    """The rules that hold in a project: its own over those for all."""
    return {**rules.get(_ANY_PROJECT, {}), **rules.get(project, {})}


class Naming:
    """The names of one run: which of them is which field, once and for all."""

    def __init__(self, rules: Optional[Mapping[str, str]] = None, taken: Optional[Mapping[str, str]] = None) -> None:
        """``taken`` has, by field, the name that keeps it."""
        self.rules = dict(rules or {})
        self.taken = dict(taken or {})

    def fields(self, names: Iterable[str]) -> Dict[str, str]:
        """The names, of those that came together, that are fields: each with its field."""
        rivals: Dict[str, List[str]] = {}
        for name in names:
            found = field(name, self.rules)
            if found:
                rivals.setdefault(found, []).append(name)
        chosen: Dict[str, str] = {}
        for found, several in rivals.items():
            name = self.taken.setdefault(found, min(several, key=self._rank))
            if name in several:
                chosen[name] = found
        return chosen

    def _rank(self, name: str) -> Tuple[bool, int]:
        known = folded(name)
        return known not in self.rules, _RANKS.get(known, len(_RANKS))


def as_point(values: Mapping[str, Any], naming: Optional[Naming] = None) -> Dict[str, Any]:
    """The values as `Run.log` takes them: known names as fields, the others as metrics; ``step`` stays a metric.

    What is no number (text, pictures, tables) is left out.
    """
    numbers = {str(name): value for name, value in values.items() if not _is_no_number(value)}
    fields = (naming or Naming()).fields(numbers)
    point: Dict[str, Any] = {}
    metrics: Dict[str, Any] = {}
    for name, value in numbers.items():
        found = fields.get(name, "step")
        if found == "step":
            metrics[name] = value
        else:
            point[found] = value
    return {**point, "metrics": metrics} if metrics else point


def _is_no_number(value: Any) -> bool:
    return isinstance(value, (bool, str, bytes, Mapping, list, tuple)) or value is None
