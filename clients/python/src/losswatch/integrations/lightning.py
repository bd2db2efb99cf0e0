"""Lightning: ``Trainer(callbacks=[losswatch.lightning.LosswatchCallback()])``, or `LosswatchLogger` as its logger."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Union

from losswatch.integrations.torch import TorchRun
from losswatch.integrations.verdicts import Verdict
from losswatch.metric_names import as_point, field
from losswatch.run import Run

if TYPE_CHECKING:

    class Callback:
        """What Lightning calls at each moment of a training."""

    class Logger:
        """Where Lightning sends what a module logs."""

else:
    try:
        from lightning.pytorch.callbacks import Callback
        from lightning.pytorch.loggers import Logger
    except ImportError:  # the package's older name
        from pytorch_lightning.callbacks import Callback
        from pytorch_lightning.loggers import Logger


class LosswatchCallback(Callback):
    """Measures a training by itself: loss and gradient norm of every step, validation, facts. Stops it if asked to."""

    def __init__(
        self,
        name: Optional[str] = None,
        *,
        run: Optional[Run] = None,
        stop_on: Optional[str] = None,
        facts: bool = True,
        layers_every: int = 10,
        **options: Any,
    ) -> None:
        """``stop_on="critical"`` ends the training while the run is critical, "stop" where going on is pointless.

        ``name`` and ``options`` are those of `losswatch.init`, ``facts`` and ``layers_every`` of
        `losswatch.torch.watch`.
        """
        self._verdict = Verdict(name, run, stop_on, options)
        self._facts = facts
        self._layers_every = layers_every
        self._watched: Optional[TorchRun] = None
        self._told: Dict[str, Any] = {}

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begins the run, or goes on with it where a checkpoint was loaded."""
        precision = str(getattr(trainer, "precision", ""))
        run = self._verdict.begin(
            framework="lightning",
            precision="fp16" if precision.startswith("16") else "bf16" if precision.startswith("bf16") else None,
            grad_clip=trainer.gradient_clip_val,
            total_steps=int(trainer.estimated_stepping_batches) if trainer.max_epochs != -1 else None,
            steps_per_epoch=_count(trainer.num_training_batches, trainer.accumulate_grad_batches),
        )
        optimizers = trainer.optimizers
        plugin = getattr(trainer, "precision_plugin", None)
        watched = TorchRun(
            run, pl_module, optimizers[0] if optimizers else None, None, getattr(plugin, "scaler", None),
            facts=self._facts, layers_every=self._layers_every,
        )  # fmt: skip
        watched.sums_losses = True
        watched.resume(trainer.global_step)
        watched.tell_loader(trainer.train_dataloader)
        self._watched = watched

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Any) -> None:
        """The loss of a pass, as it is given to the optimiser."""
        watched = self._watched
        if watched is not None:
            watched.take_loss(watched.unscaled(loss))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Stops where that was asked for."""
        if self._verdict.stops():
            trainer.should_stop = True

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """What the validation found."""
        if not trainer.sanity_checking:
            self._tell_metrics(trainer)
            if self._verdict.stops(waits=True):
                trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """What the module logged of the epoch."""
        self._tell_metrics(trainer)
        if self._verdict.stops(waits=True):
            trainer.should_stop = True

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Ends the run."""
        self._end()
        self._verdict.finish()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Ends the run as failed."""
        self._end()
        self._verdict.finish(exception)

    def _end(self) -> None:
        watched, self._watched = self._watched, None
        if watched is not None:
            watched.remove()

    def _tell_metrics(self, trainer: Any) -> None:
        """The metrics that were logged since the last time; the loss and the norms are measured here already."""
        watched = self._watched
        if watched is None:
            return
        logged = {name: value for name, value in trainer.callback_metrics.items() if self._told.get(name) is not value}
        self._told.update(logged)
        point = as_point({n: v for n, v in logged.items() if field(n) not in ("loss", "grad_norm", "learning_rate")})
        point.setdefault("metrics", {})
        watched.late(trainer.global_step - 1, {**point, "epoch": trainer.current_epoch})


class LosswatchLogger(Logger):
    """For ``Trainer(logger=…)``: whatever the module logs with ``self.log``. The callback sees more."""

    def __init__(self, name: Optional[str] = None, *, run: Optional[Run] = None, **options: Any) -> None:
        """``name`` and ``options`` are those of `losswatch.init`; else it reports into ``run``."""
        super().__init__()
        self._verdict = Verdict(name, run, None, options)

    @property
    def experiment(self) -> Run:
        """The run."""
        return self._verdict.begin(framework="lightning")

    @property
    def name(self) -> str:
        """The run's name."""
        return self.experiment.name

    @property
    def version(self) -> str:
        """Attempts are told apart by the service; there is one version."""
        return "0"

    def log_metrics(self, metrics: Mapping[str, Any], step: Optional[int] = None) -> None:
        """Logs what a module logged at a step."""
        point = as_point({name: value for name, value in metrics.items() if name != "epoch"})
        if point:
            self.experiment.log(step, **point)

    def log_hyperparams(self, params: Union[Dict[str, Any], Namespace], *given: Any, **named: Any) -> None:
        """The hyper-parameters, as context."""
        known = vars(params) if isinstance(params, Namespace) else dict(params)
        self.experiment.update_context(**{str(name): value for name, value in known.items()})

    def finalize(self, status: str) -> None:
        """Ends the run, by what became of the training."""
        failed = status not in ("success", "finished")
        self._verdict.finish(RuntimeError(f"the trainer ended as {status}") if failed else None)


def _count(batches: Any, per_step: int) -> Optional[int]:
    """Steps of an epoch, where the number of batches is known."""
    return int(batches) // max(per_step, 1) or None if isinstance(batches, int) else None
