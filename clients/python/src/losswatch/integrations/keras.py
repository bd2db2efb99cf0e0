"""Keras 3: ``model.fit(…, callbacks=[losswatch.keras.LosswatchCallback()])``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

from losswatch.facts import keras as facts_of
from losswatch.integrations.verdicts import Verdict
from losswatch.metric_names import as_point
from losswatch.notices import logger
from losswatch.run import Run

if TYPE_CHECKING:
    keras: Any

    class Callback:
        """What Keras calls at each moment of a training."""

        model: Any
        params: Mapping[str, Any]

else:
    import keras
    from keras.callbacks import Callback


class LosswatchCallback(Callback):
    """Reports every batch (or every epoch), validation, and on the torch backend the gradient norm.

    Keras shows a callback the running mean over the epoch: here each batch has its own loss again.
    """

    def __init__(
        self,
        name: Optional[str] = None,
        *,
        every: str = "batch",
        run: Optional[Run] = None,
        stop_on: Optional[str] = None,
        facts: bool = True,
        **options: Any,
    ) -> None:
        """``every="epoch"`` reports the means of epochs. ``stop_on="critical"`` ends the training while the run is
        critical, "stop" where going on is pointless; ``facts=False`` tells nothing of model and data. ``name`` and
        ``options`` are those of `losswatch.init`.
        """
        super().__init__()
        if every not in ("batch", "epoch"):
            raise ValueError(f'every is "batch" or "epoch", not {every!r}')
        self._verdict = Verdict(name, run, stop_on, options)
        self._every = every
        self.async_safe = every == "epoch"
        """Keras waits for the device at each batch, to hand its numbers on, unless every callback says this."""
        self._tells_facts = facts
        self._step = 0
        self._sum = self._count = 0.0
        self._norm: Any = None
        self._undo: List[Any] = []
        self._learning_rate: Optional[float] = None

    def on_train_begin(self, logs: Optional[Mapping[str, Any]] = None) -> None:
        """Begins the run; a second ``fit`` goes on counting."""
        self._guarded(self._begin)

    def _begin(self) -> None:
        optimizer, per_epoch = self.model.optimizer, self.params.get("steps") if self._every == "batch" else None
        epochs = self.params.get("epochs")
        clip = next((v for n in ("clipnorm", "global_clipnorm") if (v := getattr(optimizer, n, None))), None)
        run = self._verdict.begin(
            framework="keras",
            optimizer=type(optimizer).__name__.lower(),
            learning_rate=self._rate(),
            momentum=getattr(optimizer, "momentum", None) or None,
            nesterov=getattr(optimizer, "nesterov", None) or None,
            weight_decay=getattr(optimizer, "weight_decay", None) or None,
            grad_clip=clip,
            loss_name=facts_of.loss_name(self.model.loss),
            step_unit="epoch" if self._every == "epoch" else None,
            steps_per_epoch=per_epoch,
            total_steps=epochs * (per_epoch or 1) if epochs and (per_epoch or self._every == "epoch") else None,
        )
        if keras.backend.backend() == "torch":
            self._measure_gradients(optimizer)
            if self._tells_facts:
                self._look_at_first_batch(run)

    def on_epoch_begin(self, epoch: int, logs: Optional[Mapping[str, Any]] = None) -> None:
        """The running means begin anew."""
        self._sum = self._count = 0.0

    def on_train_batch_end(self, batch: int, logs: Optional[Mapping[str, Any]] = None) -> None:
        """The loss of this batch, out of the running mean."""
        self._guarded(self._batch, batch, dict(logs or {}))

    def _batch(self, batch: int, logs: Dict[str, Any]) -> None:
        if self._step == 0 and batch == 0 and self._tells_facts:
            self._verdict.begin(facts=facts_of.of_model(self.model))
        if self._every == "batch":
            values = {"loss": self._own_loss(batch, logs), "learning_rate": self._rate(), "grad_norm": self._norm}
            self._norm = None
            self._verdict.begin().log(self._step, **values)
            self._step += 1
        if self._verdict.stops():
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Optional[Mapping[str, Any]] = None) -> None:
        """Validation and metrics of an epoch, at its last step."""
        self._guarded(self._epoch, epoch, dict(logs or {}))
        if self._verdict.stops(waits=True):
            self.model.stop_training = True

    def _epoch(self, epoch: int, logs: Dict[str, Any]) -> None:
        point = as_point(logs)
        if self._every == "batch":
            point.pop("loss", None)
            point.pop("learning_rate", None)
            self._verdict.begin().log(max(self._step - 1, 0), **{**point, "epoch": epoch})
        else:
            point.setdefault("learning_rate", self._rate())
            self._verdict.begin().log(epoch, **{**point, "grad_norm": self._norm, "epoch": epoch})

    def on_train_end(self, logs: Optional[Mapping[str, Any]] = None) -> None:
        """Lets go of the optimiser and ends the run."""
        while self._undo:
            self._undo.pop()()
        self._verdict.finish()

    def _guarded(self, function: Any, *given: Any) -> None:
        """Nothing that is measured here may end a training."""
        try:
            function(*given)
        except Exception as error:  # noqa: BLE001 - that is the promise
            logger.warning("losswatch: something is not measured: %r", error)

    def _rate(self) -> Any:
        """The rate of now, read where it is a plain number or a schedule of steps."""
        rate = self.model.optimizer.learning_rate
        return float(keras.ops.convert_to_numpy(rate)) if hasattr(rate, "shape") or hasattr(rate, "value") else rate

    def _own_loss(self, batch: int, logs: Mapping[str, Any]) -> Optional[float]:
        """The mean over the epoch so far, times its weight, less what came before.

        Keras weighs each batch by its samples and keeps the sum; without that sum batches are taken to be equal.
        """
        mean = logs.get("loss")
        if mean is None:
            return None
        tracker: Any = getattr(self.model, "_loss_tracker", None)
        count = float(tracker.count) if hasattr(tracker, "count") else float(batch + 1)
        total = float(mean) * count
        added, weight = total - self._sum, count - self._count
        self._sum, self._count = total, count
        if weight <= 0:
            return float(mean)
        return added / weight if math.isfinite(added) else float(mean)

    def _measure_gradients(self, optimizer: Any) -> None:
        """Wraps the optimiser: the norm of what it is given is that before it clips."""
        from losswatch.integrations.torch_gradients import total_norm

        original = optimizer.apply

        def apply(grads: Any, trainable_variables: Any = None) -> Any:
            self._norm = total_norm([grad for grad in grads if grad is not None])
            return original(grads, trainable_variables)

        optimizer.apply = apply
        self._undo.append(lambda: optimizer.__dict__.pop("apply", None))

    def _look_at_first_batch(self, run: Run) -> None:
        """On the torch backend a model is a module: its first batch and what it makes of it are seen once."""
        from losswatch.facts import torch as torch_facts

        def look(model: Any, given: Any, output: Any) -> None:
            handle.remove()
            tensors = [item for item in given if hasattr(item, "is_floating_point")]
            facts = torch_facts.of_inputs(tensors[0]) if tensors else {}
            if getattr(output, "grad_fn", None) is not None:
                facts.update(torch_facts.of_units(output))
            run.update_context(facts=facts)

        handle = self.model.register_forward_hook(lambda *seen: self._guarded(look, *seen))
        self._undo.append(handle.remove)
        model, original = self.model, self.model.compute_loss

        def look_at_targets(targets: Any) -> None:
            # Whole numbers may be ages or prices, too, as Keras takes them for any loss: 0 and 1 alone are classes.
            is_here = getattr(getattr(targets, "device", None), "type", None) == "cpu"
            if is_here and not targets.is_floating_point() and set(targets.unique().tolist()) == {0, 1}:
                run.update_context(facts={"target_kind": "classes"})

        def compute_loss(*given: Any, **named: Any) -> Any:
            model.__dict__.pop("compute_loss", None)
            self._guarded(look_at_targets, named["y"] if "y" in named else given[1] if len(given) > 1 else None)
            return original(*given, **named)

        model.__dict__["compute_loss"] = compute_loss
        self._undo.append(lambda: model.__dict__.pop("compute_loss", None))
