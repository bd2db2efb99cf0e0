"""What is usual for each optimiser: a learning rate means nothing without the scale of its steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

from losswatch_server.monitor.points import Context

ADAPTIVE = (
    "adam", "rmsprop", "adagrad", "adadelta", "lion", "lamb", "adafactor", "nadam", "radam", "sophia", "muon",
    "adan", "adabelief", "ademamix", "yogi", "prodigy", "dadapt", "rprop", "ftrl", "novograd", "soap", "shampoo",
)  # fmt: skip
"""Optimisers that scale their own steps."""
BY_THE_RATE = ("adam", "rmsprop", "lion", "sophia")
"""Optimisers of which a step moves each weight by about the learning rate (for Lion by exactly that)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """The usual learning rates of an optimiser: what to try where nothing else is known, and how far they spread."""

    name: str
    rate: float
    low: float = 0.0
    high: float = 0.0
    """The ends of the usual range; 0: the rate itself."""

    def decades(self, rate: float) -> float:
        """How many tenfolds a rate lies above (or, negative, below) the usual range; 0 within it."""
        low, high = self.low or self.rate, self.high or self.rate
        return math.log10(rate / high) if rate > high else math.log10(rate / low) if rate < low else 0.0

    @property
    def most(self) -> float:
        """The highest rate that is ever advised for being usual: three times the middle where no range is known."""
        return self.high or 3 * self.rate


USUAL: tuple[Usual, ...] = (
    Usual(name="dadapt", rate=1.0, low=0.1, high=2.0),
    Usual(name="prodigy", rate=1.0, low=0.1, high=2.0),
    Usual(name="schedulefreesgd", rate=1.0, low=0.05, high=10.0),
    Usual(name="sgdschedulefree", rate=1.0, low=0.05, high=10.0),
    Usual(name="adadelta", rate=1.0, low=0.5, high=2.0),
    Usual(name="adafactor", rate=1e-3, low=3e-4, high=1e-2),
    Usual(name="adagrad", rate=1e-2, low=5e-3, high=2e-2),
    Usual(name="adabelief", rate=1e-3),
    Usual(name="ademamix", rate=1e-3),
    Usual(name="adan", rate=1e-3, high=1e-2),
    Usual(name="lion", rate=1e-4, low=5e-5, high=3e-4),
    Usual(name="sophia", rate=3e-4, low=1.5e-4, high=6e-4),
    Usual(name="lamb", rate=3e-3, low=1e-3, high=1e-2),
    Usual(name="lars", rate=1.0, low=0.2, high=10.0),
    Usual(name="muon", rate=5e-3, low=5e-4, high=5e-2),
    Usual(name="rmsprop", rate=1e-3, high=1e-2),
    Usual(name="rprop", rate=1e-2, low=1e-3, high=2e-2),
    Usual(name="ftrl", rate=1e-2, low=1e-3, high=0.1),
    Usual(name="yogi", rate=1e-2, low=1e-3, high=2e-2),
    Usual(name="novograd", rate=5e-3, low=1e-3, high=2e-2),
    Usual(name="shampoo", rate=1e-2, low=1e-3, high=0.1),
    Usual(name="soap", rate=3e-3, low=1e-3, high=1e-2),
    Usual(name="lbfgs", rate=1.0, low=0.1, high=1.0),
    Usual(name="adam", rate=1e-3),
)
"""What the papers and the frameworks' defaults give. Zeiler 2012 (Adadelta: 1.0, as in torch; the 1e-3 of Keras is, as
its own page says, not that of the paper, and too low). Shazeer and Stern 2018 (Adafactor: 1e-2 relative to the size of
the weights, as in torch; 1e-3 plain, as in transformers and Keras). Duchi et al. 2011. Chen et al. 2023 (Lion: a third
to a tenth of Adam's). Liu et al. 2023 (Sophia). You et al. 2017 and 2020 (LARS, LAMB). Jordan 2024 (Muon: 2e-2 for
hidden layers) and torch (1e-3). RMSprop: 1e-3 in Keras, 1e-2 in torch. Defazio and Mishchenko 2023, Mishchenko and
Defazio 2024 (D-Adaptation and Prodigy find their rate: 1.0 stays). Defazio et al. 2024 (schedule-free SGD: ten to fifty
times that of SGD). Kingma and Ba 2015. The first whose name is in the optimiser's stands: Adagrad is no Adam, AdamW and
NAdam are."""
ADAM = next(known for known in USUAL if known.name == "adam")
GRADIENT_DESCENT = ("sgd", "gd", "descent", "momentum", "nesterov", "boost")
"""Words of which one is in the name of plain gradient descent; any other optimiser's scale is not known."""

_TUNING = ("lora", "peft", "adapter", "fine_tun", "finetun", "fine-tun", "pretrained")
TUNED = Usual(name="fine-tuning", rate=5e-5, low=1e-5, high=2.5e-4)
"""Adam on a trained model: 1e-5 (all parameters) to 2e-4 (LoRA, Hu et al. 2021)."""


USUAL_MOMENTUM = 0.9


def is_adaptive(optimizer: str | None) -> bool | None:
    """Whether the optimiser scales its own steps (Adam and kin); None when it is not known."""
    if not optimizer:
        return None
    name = _plain(optimizer)
    return any(word in name for word in ADAPTIVE)


def _plain(optimizer: str) -> str:
    return "".join(letter for letter in optimizer.lower() if letter.isalnum())


def fine_tunes(context: Context) -> bool:
    """Whether the client says that a trained model is tuned further."""
    said = (context.group, *context.tags, *context.tags.values(), *context.extra)
    words = " ".join(str(word).lower() for word in said if word)
    words += " ".join(str(value).lower() for value in context.extra.values() if isinstance(value, str))
    return any(word in words for word in _TUNING)


def usual(context: Context) -> Usual | None:
    """What is usual for the optimiser of this context; None where its scale is not known.

    For SGD 0.1, with momentum 0.1 (1 - momentum): the same distance per step. A momentum beyond the usual 0.9 is out of
    the ordinary itself, and does not make an ordinary rate so. A trained model is tuned with a tenth of all that.
    """
    name = _plain(context.optimizer or "")
    found = next((u for u in USUAL if u.name in name), None) if name else None
    tuned = fine_tunes(context)
    if found is None and (context.momentum is not None or any(word in name for word in GRADIENT_DESCENT)):
        found = Usual(name="sgd", rate=0.1 * (1 - min(max(context.momentum or 0.0, 0.0), USUAL_MOMENTUM)))
    if found is None or not tuned:
        return found
    if found.name == "adam":
        return TUNED
    low, high = found.low or found.rate, found.high or found.rate
    return Usual(name="fine-tuning", rate=found.rate / 10, low=low / 30, high=high)


def rate_for_adam(context: Context) -> float | None:
    """By what a learning rate of this optimiser is multiplied to be one of Adam's, for the optimisers that move a
    weight by about their rate; None for others. Lion's rate is a tenth of Adam's, because its steps are all of full
    length."""
    name = _plain(context.optimizer or "")
    found = next((u for u in USUAL if u.name in name), None) if name else None
    return ADAM.rate / found.rate if found is not None and any(word in name for word in BY_THE_RATE) else None


def peak_rate(rate: float | None, share: float | None) -> float | None:
    """The highest learning rate so far, from the present one and its share of that: what the run was trained with,
    where a schedule has brought the rate down since."""
    return rate / share if rate and share else rate
