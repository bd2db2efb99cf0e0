"""fastai: ``learn.fit(3, cbs=losswatch.fastai.LosswatchCallback())``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Optional

from losswatch.facts import torch as facts_of
from losswatch.facts.graph import read_graph
from losswatch.integrations.torch_gradients import Norms, gradient_norms, measured
from losswatch.integrations.verdicts import Verdict
from losswatch.metric_names import as_point
from losswatch.notices import logger
from losswatch.run import Run
from losswatch.values import hold

if TYPE_CHECKING:
    CancelFitException = Exception

    class Callback:
        """What fastai calls at each moment of a training; it finds the learner's attributes on it."""

        learn: Any
        run: bool

else:
    from fastai.callback.core import Callback, CancelFitException

LAYERS_EVERY = 10


class LosswatchCallback(Callback):
    """Reports every step with its loss and the gradient norm before clipping, and the validation of each epoch."""

    order = 10.5
    """At a step behind mixed precision (10), which takes its scale out, and before the clipping (11)."""
    run_valid = False

    def __init__(
        self,
        name: Optional[str] = None,
        *,
        losswatch_run: Optional[Run] = None,
        stop_on: Optional[str] = None,
        facts: bool = True,
        layers_every: int = LAYERS_EVERY,
        **options: Any,
    ) -> None:
        """``stop_on="critical"`` ends the training while the run is critical, "stop" where going on is pointless.

        ``losswatch_run`` is a run to report into (``run`` has a meaning of its own in fastai); ``name`` and ``options``
        are those of `losswatch.init`.
        """
        super().__init__()
        self._verdict = Verdict(name, losswatch_run, stop_on, options)
        self._tells_facts = facts
        self._layers_every = layers_every
        self._steps = 0
        self._losses: List[Any] = []
        self._norms: Optional[Norms] = None
        self._reported = 0

    def before_fit(self) -> None:
        """Begins the run; a second ``fit`` goes on counting. The search for a learning rate is no training."""
        self.run = not hasattr(self.learn, "lr_finder") and not hasattr(self.learn, "gather_preds")
        if self.run:
            self._guarded(self._begin)

    def _begin(self) -> None:
        learn = self.learn
        named = [(name, p) for name, p in learn.model.named_parameters() if p.requires_grad]
        self._names, self._parameters = [name for name, _ in named], [p for _, p in named]
        self._losses, self._norms, self._reported = [], None, 0  # the recorder begins anew with each fit
        steps = len(learn.dls.train)
        optimizer = getattr(learn.opt_func, "func", learn.opt_func)
        self._verdict.begin(
            framework="fastai",
            optimizer=getattr(optimizer, "__name__", type(optimizer).__name__).lower(),
            learning_rate=self._hyper("lr"),
            weight_decay=self._hyper("wd"),
            batch_size=getattr(learn.dls.train, "bs", None),
            steps_per_epoch=steps,
            total_steps=self._steps + steps * learn.n_epoch,
        )

    def after_loss(self) -> None:
        """The loss of a pass, before it is scaled or divided."""
        self._guarded(self._take_loss)

    def _take_loss(self) -> None:
        loss = self.learn.loss.detach()
        self._losses.append(loss if loss.dim() == 0 else loss.mean())
        if self._steps == 0 and self._tells_facts:
            self._tells_facts = False
            self._look()

    def _look(self) -> None:
        """What model and first batch say, once."""
        learn = self.learn
        held = [p for group in learn.opt.param_lists for p in group]
        facts: Dict[str, Any] = {
            **facts_of.of_model(learn.model, None),
            **facts_of.of_inputs(learn.xb[0]),
            **facts_of.of_targets(learn.yb[0]),
            "optimizer_parameters": sum(p.numel() for p in held if p.requires_grad),
            "initial_loss": hold(self._losses[0]),
            "dataset_size": len(learn.dls.train_ds),
        }
        graph = read_graph(learn.loss_grad.grad_fn, is_loss=True)
        if graph is not None:
            facts.update(facts_of.of_graph(graph, held))
        self._verdict.begin(loss_name=graph.loss_name if graph is not None else None)
        self._verdict.begin().update_context(facts=facts)

    def before_step(self) -> None:
        """The gradients as they are before anything clips them."""
        self._guarded(self._measure)

    def _measure(self) -> None:
        self._norms = gradient_norms(self._names, self._parameters, None)

    def after_step(self) -> None:
        """A point: the mean loss of the passes, the norms, the rate."""
        self._guarded(self._report)

    def _report(self) -> None:
        with_layers = self._layers_every > 0 and self._steps % self._layers_every == 0
        values = {} if self._norms is None else measured(self._norms, with_layers=with_layers)
        loss = hold(sum(self._losses) / len(self._losses)) if self._losses else None
        self._verdict.begin().log(self._steps, loss=loss, learning_rate=self._hyper("lr"), **values)
        self._losses, self._norms = [], None
        self._steps += 1

    def after_batch(self) -> None:
        """Stops where that was asked for."""
        if self._verdict.stops():
            raise CancelFitException

    def before_epoch(self) -> None:
        """What the last epoch's validation found: the recorder has it by now."""
        self._guarded(self._validated)

    def _validated(self) -> None:
        recorder = self.learn.recorder
        names = [name for name in recorder.metric_names if name not in ("epoch", "time")]
        for epoch, found in list(enumerate(recorder.values))[self._reported :]:
            point = as_point(dict(zip(names, map(float, found))))
            point.pop("loss", None)  # the smoothed one: each step has its own
            if point:
                self._verdict.begin().log(max(self._steps - 1, 0), **{**point, "epoch": epoch})
        self._reported = len(recorder.values)

    def after_fit(self) -> None:
        """Ends the run."""
        self._guarded(self._validated)
        self._verdict.finish()

    def _hyper(self, name: str) -> Optional[float]:
        """Of the last group of parameters, which fastai trains at the full rate."""
        value = self.learn.opt.hypers[-1].get(name)
        return None if value is None else float(value)

    def _guarded(self, function: Any) -> None:
        """Nothing that is measured here may end a training."""
        try:
            function()
        except Exception as error:  # noqa: BLE001 - that is the promise
            logger.warning("losswatch: something is not measured: %r", error)
