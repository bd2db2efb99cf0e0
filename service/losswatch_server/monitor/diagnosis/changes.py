"""What a check changes, in words: from what it is to what it should be tried at, where it is known."""

from __future__ import annotations

from dataclasses import dataclass

from losswatch_server.monitor.diagnosis.measures import Measured
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.sentences import number

USUAL_MOMENTUM = 0.9


@dataclass(frozen=True, slots=True)
class Changes:
    """The present settings; None where they are not known."""

    rate: float | None = None
    batch: int | None = None
    decay: float | None = None
    momentum: float | None = None
    clip: float | None = None
    level: float | None = None
    """Where the loss is now."""

    def words(self) -> dict[str, str]:
        """The words that a check's text has places for."""
        return {
            "rate_down": _change("lowered", self.rate, 0.1, "divided by 10"),
            "rate_up": _change("raised", self.rate, 10.0, "multiplied by 10"),
            "batch_up": _change("raised", self.batch, 8, "multiplied by 8"),
            "clip_up": _change("raised", self.clip, 10.0, "multiplied by 10"),
            "decay_off": f"lowered from {number(self.decay)} to 0" if self.decay else "set to 0",
            "momentum_down": f"lowered from {number(self.momentum)} to {USUAL_MOMENTUM}"
            if self.momentum and self.momentum > USUAL_MOMENTUM
            else f"set to {USUAL_MOMENTUM}",
            "wider": "each hidden layer twice as wide (10 units become 20)",
            "floor": "a floor" if self.level is None else f"a floor of {number(self.level)}",
        }


def _change(how: str, now: float | None, factor: float, unknown: str) -> str:
    return f"{how} from {number(now)} to {number(now * factor)}" if now else unknown


def changes(measured: Measured, context: Context) -> Changes:
    """What is known of a run."""
    return Changes(
        measured.learning_rate,
        context.batch_size,
        context.weight_decay,
        context.momentum,
        measured.clip,
        measured.loss.now if measured.loss else None,
    )


NOTHING_KNOWN = Changes()
