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
from typing import TYPE_CHECKING, Any

from losswatch.run import Run
from losswatch.session import current, finish, init, log

if TYPE_CHECKING:
    from losswatch.checks.report import Preflight

__all__ = ["Run", "__version__", "current", "finish", "init", "log", "preflight"]
__version__ = "0.1.0"

_INTEGRATIONS = frozenset(
    (
        "accelerate",
        "catboost",
        "fastai",
        "jax",
        "keras",
        "lightgbm",
        "lightning",
        "sklearn",
        "torch",
        "transformers",
        "xgboost",
    )
)


def preflight(
    model: Any,
    loss_fn: Any = None,
    batch: Any = None,
    optimizer: Any = None,
    *,
    seconds: float = 30.0,
    quiet: bool = False,
) -> Preflight:
    """Checks a PyTorch or Keras training before it begins, on copies: neither model nor random state is changed.

    The loss at the start against chance; inputs and targets in range; what the model ends in against what the loss
    expects; a gradient for every parameter, each held by ``optimizer``; dead and saturated layers; samples that leak
    into each other's output; a learning-rate range test; whether the batch can be learned by heart in 100 steps.
    ``batch`` is ``(inputs, targets)`` on the model's device, or a mapping for models that compute their own loss (then
    ``loss_fn`` may be None). Of a Keras model (torch backend) loss and optimizer are those it was compiled with, unless
    they are given. All together may take ``seconds``; what is not done by then is named. The report is said
    in the terminal unless ``quiet``, and told to a run by ``report.post(run)``.
    """
    from losswatch.notices import logger, prepare

    of_keras = any(kind.__module__.partition(".")[0] == "keras" for kind in type(model).__mro__)
    checks = import_module("losswatch.checks." + ("keras" if of_keras else "torch"))
    report: Preflight = checks.preflight(model, loss_fn, batch, optimizer, seconds=seconds)
    if not quiet:
        prepare()
        for line in report.lines():
            logger.info("losswatch: %s", line)
    return report


def __getattr__(name: str) -> Any:
    if name in _INTEGRATIONS:
        return import_module("losswatch.integrations." + name)
    raise AttributeError(f"module 'losswatch' has no attribute {name!r}")
