"""Hugging Face Trainer, and TRL's trainers: ``losswatch.transformers.watch(trainer)`` before ``trainer.train()``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Optional

from losswatch.integrations.torch import TorchRun
from losswatch.integrations.verdicts import Verdict
from losswatch.metric_names import as_point
from losswatch.notices import logger
from losswatch.run import Run

if TYPE_CHECKING:

    class TrainerCallback:
        """What transformers calls at each moment of a training."""

else:
    from transformers import TrainerCallback


def watch(trainer: Any, name: Optional[str] = None, **options: Any) -> LosswatchCallback:
    """Watches a ``Trainer`` or one of TRL's: the loss and the gradient norm of every step, not of every logging step.

    ``options`` are those of `LosswatchCallback`.
    """
    callback = LosswatchCallback(name, **options)
    callback.sees_steps_of(trainer)
    trainer.add_callback(callback)
    return callback


class LosswatchCallback(TrainerCallback):
    """For ``callbacks=[…]``; `watch` sees more: the loss of every step.

    The Trainer hides losses that are not finite (``logging_nan_inf_filter``): that is turned off, and said.
    """

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
        self._trainer: Any = None

    def sees_steps_of(self, trainer: Any) -> None:
        """Sees the loss of each pass of the trainer's, whatever computes it."""
        self._trainer = trainer
        original = trainer.training_step

        def training_step(*given: Any, **named: Any) -> Any:
            loss = original(*given, **named)
            if self._watched is not None:
                self._watched.take_loss(loss)
            return loss

        trainer.training_step = training_step

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Begins the run, or goes on with it where a checkpoint was loaded."""
        run = self._verdict.begin(
            framework="transformers",
            batch_size=args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size,
            total_steps=state.max_steps if state.max_steps > 0 else None,
            grad_clip=args.max_grad_norm or None,
            warmup_steps=args.get_warmup_steps(state.max_steps) or None,
            precision="fp16" if args.fp16 else "bf16" if args.bf16 else None,
        )
        if args.logging_nan_inf_filter:
            args.logging_nan_inf_filter = False
            logger.info("losswatch: %s: logging_nan_inf_filter is turned off, it hides losses of NaN", run.name)
        optimizer = given.get("optimizer")
        scaler = getattr(getattr(self._trainer, "accelerator", None), "scaler", None)
        watched = TorchRun(
            run, given["model"], getattr(optimizer, "optimizer", optimizer), None, scaler,
            facts=self._facts, layers_every=self._layers_every,
        )  # fmt: skip
        watched.is_half = bool(args.fp16)
        watched.sums_losses = True
        watched.resume(state.global_step)
        watched.tell_loader(given.get("train_dataloader"))
        self._watched = watched

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> Any:
        """Stops where that was asked for."""
        if self._verdict.stops():
            control.should_training_stop = True
        return control

    def on_log(self, args: Any, state: Any, control: Any, logs: Optional[Dict[str, Any]] = None, **given: Any) -> None:
        """What the Trainer logs itself; of that, what is measured here already is left out."""
        watched = self._watched
        if watched is None or not logs or "train_runtime" in logs:
            return
        if self._verdict.stops(waits=True):
            control.should_training_stop = True
        point = as_point(logs)
        point.pop("learning_rate", None)
        if watched.is_before_clip is not None:
            point.pop("grad_norm", None)
        if self._trainer is not None:
            point.pop("loss", None)
        watched.late(state.global_step - 1, point)

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Ends the run."""
        watched, self._watched = self._watched, None
        if watched is not None:
            watched.remove()
        self._verdict.finish()
