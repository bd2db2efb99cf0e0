"""PyTorch: ``run = losswatch.torch.watch(model, optimizer)`` before the loop, ``run.log(loss=loss)`` in it."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Type

from losswatch import session
from losswatch.checks.data import of_end
from losswatch.checks.report import Finding
from losswatch.facts import torch as facts_of
from losswatch.facts.graph import read_graph
from losswatch.integrations.step_points import StepPoints
from losswatch.integrations.torch_clearing import Clearing
from losswatch.integrations.torch_gradients import Norms, gradient_norms, measured, rates
from losswatch.integrations.torch_looks import LOOK_AGAIN, Looks
from losswatch.lifetime import state_after
from losswatch.notices import logger
from losswatch.run import Run
from losswatch.values import hold

if TYPE_CHECKING:
    torch: Any
else:
    import torch

LAYERS_EVERY = 10


def watch(  # noqa: PLR0913 - each is an option of whoever trains
    model: Any,
    optimizer: Any = None,
    loss_fn: Any = None,
    *,
    name: Optional[str] = None,
    run: Optional[Run] = None,
    scaler: Any = None,
    loader: Any = None,
    facts: bool = True,
    layers_every: int = LAYERS_EVERY,
    **options: Any,
) -> TorchRun:
    """Watches a training: every step of ``optimizer`` becomes a point, with the gradient norm before clipping.

    The loss comes from ``log(loss=loss)`` (pass the tensor: it is never waited for), or by itself where ``loss_fn`` is
    a module. ``loss_fn``, ``loader`` (the DataLoader of the training data) tell more of the job; ``scaler`` is needed
    with a GradScaler, whose scale is divided out. ``facts=False`` sends nothing of what is seen of model and data.
    ``layers_every`` is how many steps lie between norms of single layers, 0 for never. Reports into ``run``, else into
    the run that `losswatch.init` began, else into a new one: ``name`` and ``options`` are those of `losswatch.init`.
    """
    run = run or session.current() or session.init(name, **options)
    watched = TorchRun(run, model, optimizer, loss_fn, scaler, facts=facts, layers_every=layers_every)
    watched._tell({"framework": "torch"})
    watched.tell_loader(loader)
    session.route(run, watched.log)
    return watched


class TorchRun:
    """A `Run` that measures a PyTorch training by itself. Whatever a Run has, it has too (``check``, ``report``, …)."""

    def __init__(
        self, run: Run, model: Any, optimizer: Any, loss_fn: Any, scaler: Any, *, facts: bool, layers_every: int
    ) -> None:
        self.run = run
        self._model = model
        self._optimizer = optimizer
        self._scaler = scaler
        self._tells_facts = facts
        self._layers_every = layers_every
        self._names = [name for name, p in model.named_parameters() if p.requires_grad]
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._points = StepPoints(self._emit, self._of_step)
        self._norms: Optional[Norms] = None
        self._is_queued = False
        self.is_before_clip: Optional[bool] = None
        """Whether the norms are those before clipping; None as long as none could be measured."""
        self.is_half = False
        """Whether a scaler is at work: the model computes in 16-bit floats of small range."""
        self.sums_losses = False
        """Whether the passes of a step have their losses divided by their number already."""
        self._steps = 0
        self._steps_before_update = 0
        self._looks = True
        self._knows_inputs = False
        self._has_seen_graph = not facts
        self._look = Looks(self._names, self._parameters)
        self._divisor: Optional[float] = 1.0
        """What the script divides its losses by; None where it does, and it is not known by what."""
        self._undo: List[Callable[[], object]] = []
        self._guarded(self._attach, loss_fn)

    def __getattr__(self, name: str) -> Any:
        if name == "run":  # not there yet: a copy, or a failed start
            raise AttributeError(name)
        return getattr(self.run, name)

    # --- what the script calls ------------------------------------------------------------------------------------

    def log(self, step: Any = None, /, *others: Any, **values: Any) -> None:
        """Notes what was measured of the step that was just taken or is going on; never raises, never waits.

        What `Run.log` takes; without a step, steps of the optimiser are counted, from 0.
        """
        if others or not (step is None or type(step) is int):
            self.run.log(step, *others, **values)
            return
        self._guarded(self._log, step, values)

    def finish(self, state: str = "finished", timeout: float = 5.0, error: Any = None) -> None:
        """Lets go of the model and ends the run, as `Run.finish` does."""
        self.remove()
        self.run.finish(state, timeout, error)

    def remove(self) -> None:
        """Takes every hook off the model, the optimiser and the scaler; what was measured is sent."""
        self._guarded(self._points.close)
        while self._undo:
            self._guarded(self._undo.pop())

    def __enter__(self) -> TorchRun:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        state = state_after(error)
        self.finish(state, error=error if state == "failed" else None)

    def _repr_html_(self) -> str:
        return self.run._repr_html_()

    # --- what other integrations call -----------------------------------------------------------------------------

    def tell_loader(self, loader: Any) -> None:
        """What a DataLoader of the training data says; None says nothing."""
        if loader is not None:
            self._guarded(self._tell_loader, loader)

    def _tell_loader(self, loader: Any) -> None:
        facts = facts_of.of_loader(loader)
        self._knows_inputs = "input_mean" in facts
        context = {"facts": facts, "batch_size": getattr(loader, "batch_size", None)}
        self._tell({name: value for name, value in context.items() if name not in self.run._context})

    def resume(self, step: int) -> None:
        """Counts from ``step`` on."""
        self._points.step = step

    def take_loss(self, loss: Any) -> None:
        """A loss as it was computed, for the step that is going on."""
        self._guarded(self._take_loss, loss)

    def unscaled(self, loss: Any) -> Any:
        """A loss without what the scaler multiplied it by."""
        scale = getattr(self._scaler, "_scale", None)
        return loss if scale is None else loss.detach() / scale

    def late(self, step: int, values: Dict[str, Any]) -> None:
        """What was measured at a step that was taken already."""
        self._points.close()
        if any(value is not None and value != {} for value in values.values()):
            self.run.log(max(step, 0), **values)

    # --- hooks ----------------------------------------------------------------------------------------------------

    def _attach(self, loss_fn: Any) -> None:
        context: Dict[str, Any] = {"precision": facts_of.precision(self._model)}
        if self._optimizer is not None:
            context.update(facts_of.of_optimizer(self._optimizer))
        if loss_fn is not None:
            context.update(facts_of.of_loss_function(loss_fn))
        if self._tells_facts:
            context["facts"] = {**context.pop("facts", {}), **facts_of.of_model(self._model, self._optimizer)}
        context.pop("facts" if not self._tells_facts else "", None)
        self._tell({name: value for name, value in context.items() if name not in self.run._context})
        self._hook(self._model.register_forward_pre_hook(self._before_forward, with_kwargs=True))
        self._hook(self._model.register_forward_hook(self._after_forward))
        if isinstance(loss_fn, torch.nn.Module):
            self._hook(loss_fn.register_forward_hook(self._after_loss))
        # One parameter's gradient is the sign of a backward pass. The first and the last, as one may be unused.
        for parameter in {id(p): p for p in self._parameters[:1] + self._parameters[-1:]}.values():
            self._hook(parameter.register_post_accumulate_grad_hook(self._in_backward))
        if self._optimizer is not None:
            self._hook(self._optimizer.register_step_pre_hook(self._before_step))
            self._hook(self._optimizer.register_step_post_hook(self._after_step))
            if self._tells_facts:
                self._undo.append(Clearing(self._optimizer, self._tell, self._guarded).remove)
        if self._scaler is not None:
            self._mind_scaler()

    def _hook(self, handle: Any) -> None:
        self._undo.append(handle.remove)

    def _mind_scaler(self) -> None:
        """A scaler skips steps whose gradients are not finite: they are steps of the training all the same."""
        scaler, original = self._scaler, self._scaler.update

        def update(*given: Any, **named: Any) -> Any:
            done = original(*given, **named)
            self._guarded(self._after_update)
            return done

        scaler.update = update
        self._undo.append(lambda: scaler.__dict__.pop("update", None))

    def _guarded(self, function: Callable[..., object], *given: Any) -> None:
        """Nothing that is measured here may end a training."""
        try:
            function(*given)
        except Exception as error:  # noqa: BLE001 - that is the promise
            logger.warning("losswatch: %s: something is not measured: %r", self.run.name, error)
            if function is not self._log:
                self._looks = False

    def _before_forward(self, model: Any, given: Any, named: Any) -> None:
        if self._looks and self._steps == 0 and model.training:
            self._guarded(self._look_at_inputs, [*given, *named.values()])

    def _look_at_inputs(self, given: List[Any]) -> None:
        batch = next((item for item in given if isinstance(item, torch.Tensor) and item.dim() > 0), None)
        if batch is not None:
            known = {} if self._knows_inputs else facts_of.of_inputs(batch)
            self._tell({"facts": known, "batch_size": batch.shape[0]})

    def _after_forward(self, model: Any, given: Any, output: Any) -> None:
        if self._looks and model.training and torch.is_grad_enabled():
            self._looks = False
            self._guarded(self._look_at_output, output)

    def _look_at_output(self, output: Any) -> None:
        tensor = _main_tensor(output)
        if tensor is None or tensor.grad_fn is None:
            return
        if tensor.dtype is torch.float16:
            self.is_half = True
        if not self._tells_facts:
            return
        loss = getattr(output, "loss", None)
        if not self._has_seen_graph and getattr(loss, "grad_fn", None) is not None:
            self._look_at_loss(loss)
        facts = facts_of.of_units(tensor)
        context: Dict[str, Any] = {"facts": facts}
        if self._steps == 0:
            graph = read_graph(tensor.grad_fn, is_loss=False)
            if graph is not None:
                facts.update(facts_of.of_graph(graph, None))
            if torch.is_autocast_enabled(tensor.device.type):
                context["precision"] = {torch.float16: "fp16", torch.bfloat16: "bf16"}.get(tensor.dtype)
        self._tell(context)

    def _after_loss(self, loss_fn: Any, given: Any, loss: Any) -> None:
        if torch.is_grad_enabled() and isinstance(loss, torch.Tensor) and loss.requires_grad:
            self.take_loss(loss)

    def _take_loss(self, loss: Any) -> None:
        if not self._has_seen_graph and loss.grad_fn is not None:
            self._look_at_loss(loss)
        self._points.seen(hold(loss if loss.numel() == 1 else loss.mean()))
        self._mind_lack()

    def _mind_lack(self) -> None:
        """Says how far the weights have moved where the optimiser never steps."""
        if self._points.lacks_steps and self._look.waits:
            self._tell({"facts": self._look.after_step()})

    def _look_at_loss(self, loss: Any) -> None:
        self._has_seen_graph = True
        if self._steps == 0:
            self._look.begin()
        context: Dict[str, Any] = {"facts": {"initial_loss": hold(loss)}}
        graph = read_graph(loss.grad_fn, is_loss=True)
        if graph is not None:
            self._divisor = graph.divisor
            held = None if self._optimizer is None else [p for g in self._optimizer.param_groups for p in g["params"]]
            context["facts"].update(facts_of.of_graph(graph, held))
            for name, value in facts_of.of_saved_targets(graph).items():
                context["facts"].setdefault(name, value)
            self._say(of_end(graph, {}))
            if "loss_name" not in self.run._context and graph.loss_name:
                context["loss_name"] = graph.loss_name
        if self._divisor is None or self.sums_losses:
            del context["facts"]["initial_loss"]
        elif self._divisor != 1.0:
            context["facts"]["initial_loss"] = hold(loss.detach() * self._divisor)
        self._tell(context)

    def _say(self, findings: List[Finding]) -> None:
        """What can be said before the first step, at once: a curve may never show it."""
        for finding in findings if not self.run._quiet else ():
            logger.warning("losswatch: %s: %s %s", self.run.name, finding.summary, finding.advice)

    def _in_backward(self, parameter: Any) -> None:
        if not self._is_queued:
            self._is_queued = True
            try:
                # At the end of this pass, and behind what others have put there meanwhile (DDP waits for its sums).
                engine = torch.autograd.Variable._execution_engine
                engine.queue_callback(lambda: engine.queue_callback(self._after_backward))
            except Exception:  # noqa: BLE001 - an engine of another kind: then the norm is that at the step
                self._is_queued = False

    def _after_backward(self) -> None:
        self._is_queued = False
        if self.is_half and self._scaler is None:
            return  # the gradients may be scaled by a scaler that is not known here: measured at the step, then
        self._guarded(self._measure, True)

    def _measure(self, is_before_clip: bool) -> None:
        scale = None if self._scaler is None or not is_before_clip else getattr(self._scaler, "_scale", None)
        self._norms = gradient_norms(self._names, self._parameters, scale)
        if self._norms is not None and is_before_clip is not self.is_before_clip:
            self.is_before_clip = is_before_clip
            if is_before_clip:
                self._tell({"grad_norm_is": "before_clip"})

    def _before_step(self, optimizer: Any, given: Any, named: Any) -> None:
        self._guarded(self._prepare_step)

    def _prepare_step(self) -> None:
        if self._norms is None:
            self._measure(False)
        if self._tells_facts:
            before = self._norms if self.is_before_clip else None
            seen = self._look.before_step(self._steps, before)
            told = self.run._told.union(self.run._context)
            self._tell({name: value for name, value in seen.items() if name not in told})

    def _after_step(self, optimizer: Any, given: Any, named: Any) -> None:
        self._guarded(self._finish_step)

    def _after_update(self) -> None:
        if self._steps == self._steps_before_update and self._norms is not None:
            self._finish_step()
        self._steps_before_update = self._steps

    def _finish_step(self) -> None:
        values = {}
        if self._norms is not None:
            with_layers = self._layers_every > 0 and self._steps % self._layers_every == 0
            values = measured(self._norms, with_layers=with_layers)
            self._norms = None
        values.update(rates(self._optimizer))
        if self._look.waits:
            self._tell({"facts": {**self._look.after_step(), "loss_scale": self._scale()}})
        self._points.stepped(values)
        self._steps += 1
        self._looks = self._tells_facts and self._steps in LOOK_AGAIN

    def _scale(self) -> Any:
        scale = getattr(self._scaler, "_scale", None)
        return None if scale is None else hold(scale)

    def _log(self, step: Optional[int], values: Dict[str, Any]) -> None:
        loss = values.get("loss")
        if not self._has_seen_graph and getattr(loss, "grad_fn", None) is not None:
            self._look_at_loss(loss)
        held = {name: hold(value) for name, value in values.items()}
        if self._divisor not in (None, 1.0) and loss is not None and not self._points.sees_losses:
            held["loss"] = hold(loss * self._divisor)
        if self._optimizer is None:
            self.run.log(step, **held)
        else:
            self._points.logged(step, held)
            self._mind_lack()

    def _of_step(self, losses: List[Any]) -> Any:
        """The loss of a step of several passes: their mean, or their sum where each was divided by their number."""
        is_divided = self.sums_losses or (self._divisor is None and not self._points.sees_losses)
        return hold(_sum(losses) if is_divided else _sum(losses) / len(losses))

    def _emit(self, step: int, values: Dict[str, Any]) -> None:
        self.run.log(step, **values)

    def _tell(self, context: Dict[str, Any]) -> None:
        known = {name: value for name, value in context.items() if value is not None and value != {}}
        if not self._tells_facts:
            known.pop("facts", None)
        if "facts" in known:
            known["facts"] = {name: value for name, value in known["facts"].items() if value is not None}
        if known:
            self.run.update_context(**known)


def _main_tensor(output: Any) -> Optional[Any]:
    """The tensor that a model is trained for: the logits of a named output, else the first with a gradient."""
    if isinstance(output, torch.Tensor):
        return output
    if getattr(output, "logits", None) is not None:
        return output.logits
    items = output.values() if isinstance(output, dict) else output if isinstance(output, (list, tuple)) else ()
    return next((item for item in items if isinstance(item, torch.Tensor) and item.grad_fn is not None), None)


def _sum(losses: List[Any]) -> Any:
    """Of losses as they are held."""
    tensors = [getattr(loss, "tensor", loss) for loss in losses]  # out of the holder of a value on a stream
    if all(isinstance(tensor, torch.Tensor) for tensor in tensors):
        return torch.stack([tensor.float() for tensor in tensors]).sum()
    return sum(float(loss) for loss in losses if not isinstance(loss, torch.Tensor))
