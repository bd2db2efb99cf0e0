"""The checks of a PyTorch model before its training: data, start, units, gradients, samples, rate, one batch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from losswatch.checks import data
from losswatch.checks.report import Finding, Preflight, ordered
from losswatch.checks.trial import Trial
from losswatch.facts import torch as facts_of
from losswatch.facts.graph import GraphFacts

if TYPE_CHECKING:
    torch: Any
else:
    import torch

ONE_BATCH_STEPS = 100
LEARNED = 0.3
"""Share of the first loss (or of chance, where that is less) to which a single batch must come down."""
RATES = [10 ** (-6 + 7 * place / 55) for place in range(56)]
"""From 1e-6 to 10, eight to the decade."""
STABLE_STEPS = 12
"""At a tenth above the limit of a quadratic the loss grows tenfold in so many."""
BLOWN_UP = 4.0
"""Times the first loss, at which a rate is not stable even if the loss comes down again."""


def preflight(model: Any, loss_fn: Any, batch: Any, optimizer: Any = None, *, seconds: float = 30.0) -> Preflight:
    """See `losswatch.preflight`."""
    return check_trial(Trial(model, loss_fn, batch, optimizer, seconds))


def check_trial(trial: Trial) -> Preflight:
    """Every check of what is to be trained."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices), torch.enable_grad():
        return _Checks(trial).run()


class _Checks:
    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.findings: List[Finding] = []
        self.passed: List[str] = []
        self.skipped: List[str] = []
        self.facts: Dict[str, Any] = {}
        self.graph: Optional[GraphFacts] = None
        self.outputs: Optional[int] = None
        self.strange_weights = 0
        """Of layers that the loss depends on and the model does not know."""
        self.start = math.nan
        self.chance: Optional[float] = None
        self.curve: List[Tuple[float, float]] = []
        self.largest: Optional[float] = None
        self.suggested: Optional[float] = None

    def run(self) -> Preflight:
        """Every check; one that fails by itself is among those that were not done."""
        checks = (
            ("the data", self._data),
            ("gradients", self._gradients),
            ("whether samples are apart", self._samples),
            ("the learning rate", self._rates),
            ("whether one batch can be learned", self._one_batch),
        )
        for name, check in checks:
            if self.trial.is_over():
                self.skipped.append(f"{name}: the time is used up")
                continue
            try:
                check()
            except Exception as error:  # noqa: BLE001 - a model of another kind; the other checks are worth as much
                self.skipped.append(
                    f"{name}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                )
        return Preflight(
            ordered(self.findings), tuple(self.passed), tuple(self.skipped), self.facts,
            tuple(self.curve), self.largest, self.suggested,
        )  # fmt: skip

    def _note(self, found: List[Finding], passed: str) -> None:
        self.findings.extend(found)
        if not found:
            self.passed.append(passed)

    def _data(self) -> None:
        trial = self.trial
        self.facts.update(trial.facts())
        if trial.inputs is not None:
            self.facts.update(_read(facts_of.of_inputs(trial.inputs)))
        if trial.targets is not None:
            self.facts.update(_read(facts_of.of_targets(trial.targets)))
        self._note(data.of_inputs(self.facts), "the inputs are finite and of ordinary size")
        model = trial.copy()
        model.train()
        output = trial.output(model)
        tensor = output if isinstance(output, torch.Tensor) else getattr(output, "logits", None)
        if tensor is not None and tensor.dim() > 1:
            self.outputs = int(tensor.shape[1]) if tensor.dim() != 3 else int(tensor.shape[-1])
        if tensor is not None:
            self.facts.update(_read(facts_of.of_units(tensor)))
        loss = trial.loss(model, output)
        self.start = self.facts["initial_loss"] = loss.item()
        self.graph = trial.graph(loss)
        if self.graph is not None:
            self.facts.update(facts_of.of_graph(self.graph, None))
            own = {id(p) for p in model.parameters()}
            self.strange_weights = sum(p.numel() for p in self.graph.parameters if id(p) not in own)
        self.chance = data.chance(self.graph, self.facts, trial.targets, self.outputs)
        found = data.of_targets(self.facts, trial.targets, self.graph, self.outputs)
        self._note(found, "the targets are finite and in range")
        self._note(data.of_end(self.graph, self.facts), "the model gives what its loss expects")
        above = f" of {self.chance:.3g}" if self.chance else ""
        self._note(
            data.of_start(self.start, self.chance), f"the loss begins at {self.start:.3g}, not far above chance{above}"
        )
        self._units()

    def _units(self) -> None:
        dead, ends = self.facts.get("dead_unit_share", 0.0), self.facts.get("saturated_unit_share", 0.0)
        found = []
        if dead > 0.8:
            said = f"{dead:.0%} of the hidden units are 0 for every sample."
            found.append(
                Finding(
                    "units", "critical", "vanishing_gradient", said, "change_initialization",
                    "Scale the inputs; else draw the weights anew, or use a leaky ReLU.",
                    "dead_activations", "he", {"dead_unit_share": dead},
                )
            )  # fmt: skip
        if ends > 0.5:
            said = f"{ends:.0%} of what the hidden units give lies at the end of their range."
            found.append(
                Finding(
                    "units", "warning", "vanishing_gradient", said, "change_initialization",
                    "Scale the inputs; else draw smaller initial weights, or use a ReLU.", "saturated_activations",
                    "xavier", {"saturated_unit_share": ends},
                )
            )  # fmt: skip
        self._note(found, "no layer is dead or saturated")

    def _gradients(self) -> None:
        trial = self.trial
        if not self.facts.get("trainable_parameters"):
            self.findings.append(_not_updated("critical", "No parameter is trainable.", "Set requires_grad to true."))
            return
        model = trial.copy()
        model.train()
        model.zero_grad()
        trial.loss(model, trial.output(model)).backward()
        held = None
        if trial.optimizer is not None:
            held = {id(p) for group in trial.optimizer.param_groups for p in group["params"]}
        without: List[str] = []
        zero: List[str] = []
        unheld: List[str] = []
        for name, original, copied in trial.pairs(model):
            if not copied.requires_grad:
                continue
            if held is not None and id(original) not in held:
                unheld.append(name)
            if copied.grad is None:
                without.append(name)
            elif not bool((copied.grad != 0).any()):
                zero.append(name)
        found = [
            *_about(without, "critical", "No gradient reaches {}.", "See that the loss depends on every layer."),
            *_about(unheld, "critical", "The optimizer does not hold {}.", "Give it model.parameters()."),
            *_about(zero, "warning", "The gradient of {} is exactly 0.", "Look for dead units or detached tensors."),
        ]
        if self.strange_weights:
            said = f"{self.strange_weights:,} weights are in layers that are no part of the model."
            advice = "Keep layers as attributes or in a ModuleList, not in a plain list."
            found.insert(0, _not_updated("critical", said, advice))
        self._note(found, "a gradient reaches every parameter, and the optimizer holds them all")

    def _samples(self) -> None:
        """Other samples beside the first must not change what is said of it."""
        trial, inputs = self.trial, self.trial.inputs
        if inputs is None or isinstance(trial.batch, dict) or inputs.dim() < 1 or inputs.shape[0] < 2:
            self.skipped.append("whether samples are apart: it takes a batch of two or more inputs")
            return
        model = trial.copy()
        model.eval()
        others = inputs.clone()
        others[1:] = inputs[:1]
        with torch.no_grad():
            one, other = trial.output(model), trial.output(model, others)
        if not isinstance(one, torch.Tensor) or one.dim() < 1 or one.shape[0] != inputs.shape[0]:
            self._note([_leak(f"{inputs.shape[0]} samples go in, and the output has another number of rows.")], "")
            return
        apart = bool(torch.allclose(one[0].float(), other[0].float(), rtol=1e-3, atol=1e-4, equal_nan=True))
        found = [] if apart else [_leak("What is said of one sample depends on the others in its batch.")]
        self._note(found, "samples do not leak into each other's output")

    def _rates(self) -> None:
        curve = self.trial.sweep(RATES)
        finite = [(rate, loss) for rate, loss in curve if math.isfinite(loss)]
        self.curve = finite
        if len(finite) < 8:
            return
        self.largest = self._largest_stable(len(finite) - 1 if len(finite) < len(RATES) else len(RATES))
        if self.largest is None:
            return
        falls = [(finite[i][1] - finite[i + 1][1], finite[i][0]) for i in range(len(finite) - 1)]
        steepest = max((fall, rate) for fall, rate in falls if rate <= self.largest)[1]
        self.suggested = float(f"{min(steepest, self.largest / 3):.2g}")
        self._judge_rate()

    def _largest_stable(self, unstable: int) -> Optional[float]:
        """The largest of the rates at which the loss does not grow in a few steps, by bisection.

        The sweep alone overestimates: a loss that has come down to nearly 0 takes many steps to grow again.
        ``unstable`` is the place of the first rate that is known to blow up.
        """
        stable = -1
        while unstable - stable > 1:
            place = (stable + unstable) // 2
            losses = self.trial.train(RATES[place], STABLE_STEPS)
            grew = not math.isfinite(losses[-1]) or losses[-1] > 1.1 * losses[0] or max(losses) > BLOWN_UP * losses[0]
            stable, unstable = (stable, place) if grew else (place, unstable)
        return RATES[stable] if stable >= 0 else None

    def _judge_rate(self) -> None:
        optimizer = self.trial.optimizer
        if optimizer is None or self.largest is None or self.suggested is None:
            return
        rate = float(optimizer.param_groups[0]["lr"])
        numbers = {"learning_rate": rate, "largest_stable_learning_rate": self.largest}
        found = []
        if rate > self.largest:
            said = f"The learning rate is {rate:.3g}, and steps are stable up to {self.largest:.3g} only."
            advice = f"Set the learning rate to about {self.suggested:.2g}."
            found.append(
                Finding("rate", "critical", "diverging", said, "set_learning_rate", advice, "learning_rate_too_high",
                        self.suggested, numbers)
            )  # fmt: skip
        elif rate < self.suggested / 300:
            said = f"The learning rate is {rate:.3g}: {self.suggested / rate:.0f} times below what suits this batch."
            advice = f"Set the learning rate to about {self.suggested:.2g}."
            found.append(
                Finding("rate", "warning", "slow_convergence", said, "set_learning_rate", advice,
                        "learning_rate_too_low", self.suggested, numbers)
            )  # fmt: skip
        self._note(found, f"the learning rate of {rate:.3g} is stable")

    def _one_batch(self) -> None:
        goal = LEARNED * min(self.start, self.chance if self.chance else self.start)
        if not math.isfinite(goal) or goal <= 0:
            return
        tries: List[Tuple[Optional[float], Any]] = [(None, None)]
        if self.suggested is not None and self.trial.optimizer is not None:
            tries.append((self.suggested, None))
        tries += [(1e-2, torch.optim.Adam), (1e-3, torch.optim.Adam)]
        ends = []
        for rate, kind in tries:
            losses = self.trial.train(rate, ONE_BATCH_STEPS, kind)
            ends.append(min((loss for loss in losses if math.isfinite(loss)), default=math.inf))
            if ends[-1] <= goal:
                break
            if self.trial.is_over():
                self.skipped.append("whether one batch can be learned: the time is used up")
                return
        self.facts["overfits_one_batch"] = ends[-1] <= goal
        numbers = {"initial_loss": self.start, "after_100_steps": ends[0]}
        if ends[-1] > goal:
            said = f"A single batch cannot be learned by heart: in {ONE_BATCH_STEPS} steps its loss goes from "
            said += f"{self.start:.3g} to {min(ends):.3g}."
            self.findings.append(
                Finding("one_batch", "warning", "not_learning", said, "check_output",
                        "Look at the other findings; else make the model wider and compare outputs with targets.",
                        None if self.findings else "insufficient_capacity", evidence=numbers)
            )  # fmt: skip
        else:
            self.passed.append(f"one batch can be learned by heart: {self.start:.3g} to {ends[-1]:.3g}")


def _read(facts: Dict[str, Any]) -> Dict[str, Any]:
    return {name: value.item() if hasattr(value, "item") else value for name, value in facts.items()}


def _not_updated(severity: str, said: str, advice: str) -> Finding:
    return Finding(
        "gradients", severity, "not_learning", said, "update_parameters", advice, "parameters_not_updated"
    )  # fmt: skip


def _about(names: List[str], severity: str, sentence: str, advice: str) -> List[Finding]:
    if not names:
        return []
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return [_not_updated(severity, sentence.format(shown), advice)]


def _leak(said: str) -> Finding:
    return Finding(
        "samples", "critical", "not_learning", said, "check_output",
        "Look for a view or reshape that mixes the batch with another dimension.",
    )  # fmt: skip
