"""How long a run must have been given before "it does not learn" is more than impatience.

Long flat starts that end in a sudden fall (saddles, warm-up, deep networks) look exactly like a run that will never
learn. Three things are known before the fall: the planned length, a gradient norm that rises (the network is leaving
the saddle; Saxe, McClelland and Ganguli 2014), and the warm-up. They set the patience; nothing else can.
"""

from __future__ import annotations

from losswatch_server.monitor.points import Context
from losswatch_server.monitor.rules.base import View
from losswatch_server.monitor.stats.trend import median

UNKNOWN_LENGTH_STEPS = 200
"""Steps to wait for where the planned length is not known (epochs: EPOCHS), and at least LEAST_POINTS points."""
EPOCHS = 10
MANY_EPOCHS = 60
"""Epochs after which the plan does not matter: ten thousand planned ones are no reason to wait for four thousand."""
LEAST_POINTS = 8
LEAST_SINGLE_STEPS = 24
"""Points needed where every step is a point: 15 noisy steps of a 40-step run show nothing."""


def gradient_rises(view: View) -> bool:
    """The median of the latest gradient norms is 1.3 times that of the first ones, or more."""
    track = view.memory.grad_norm
    if track.n < 24:
        return False
    count = min(16, track.n // 3)
    early = median(track.head[:count])
    return early > 0 and median(track.recent[-count:]) > 1.3 * early


def warmup_end(context: Context) -> float:
    """The step at which the warm-up ends, in the steps of the log; 0 without one. A log by the epoch counts epochs, and
    a warm-up as long as the whole plan, or longer, was counted in other steps."""
    warmup = float(context.warmup_steps or 0)
    if context.step_unit == "epoch" and context.steps_per_epoch:
        return warmup / context.steps_per_epoch
    return 0.0 if context.total_steps and warmup >= context.total_steps else warmup


def patience_over(view: View, share: float, *, rising_share: float | None = None, least: int | None = None) -> bool:
    """Whether ``share`` of the planned length is done (``rising_share`` while the gradient norm rises).

    Without a planned length: ``UNKNOWN_LENGTH_STEPS`` steps, or 10 epochs, scaled by ``share`` / 0.5.
    """
    n = view.shape.n
    if view.point.step < 2 * warmup_end(view.context):
        return False
    if rising_share is not None and gradient_rises(view):
        share = rising_share
    epochs = view.context.step_unit == "epoch"
    if epochs and n >= MANY_EPOCHS:
        return True
    fraction = view.shape.fraction
    track = view.memory.loss
    single = not epochs and track.last_step - track.head_steps[0] < 5 * n
    if n < ((least or LEAST_SINGLE_STEPS) if single else LEAST_POINTS):
        return False
    if fraction is not None and fraction <= 1.05:
        return fraction >= share
    length = EPOCHS if epochs else UNKNOWN_LENGTH_STEPS
    steps = (track.last_step - track.head_steps[0]) * n / max(1, n - 1)
    return steps >= length * max(1.0, share / 0.5)
