"""The thin client of Losswatch: log the loss of a training run and be told what is wrong, why, and what to do.

run = losswatch.init("my-run", learning_rate=0.01, optimizer="sgd")
for step in range(1000):
    run.log(step, loss=train_step())
run.finish()

Frameworks have their own two lines: `losswatch.torch`, `losswatch.transformers`, `losswatch.lightning`,
`losswatch.keras` and others, which are the modules of `losswatch.integrations`, loaded when they are asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from losswatch.run import Run
from losswatch.session import current, finish, init, log

__all__ = ["Run", "__version__", "current", "finish", "init", "log"]
__version__ = "0.1.0"

_INTEGRATIONS = frozenset(
    ("accelerate", "catboost", "jax", "keras", "lightgbm", "lightning", "sklearn", "torch", "transformers", "xgboost")
)


def __getattr__(name: str) -> Any:
    if name in _INTEGRATIONS:
        return import_module("losswatch.integrations." + name)
    raise AttributeError(f"module 'losswatch' has no attribute {name!r}")
