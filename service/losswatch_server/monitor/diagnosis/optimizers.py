"""What is usual for each optimiser: a learning rate means nothing without the scale of its steps."""

from __future__ import annotations

from dataclasses import dataclass

from losswatch_server.monitor.points import Context

ADAPTIVE = (
    "adam", "rmsprop", "adagrad", "adadelta", "lion", "lamb", "adafactor", "nadam", "radam", "sophia", "muon",
)  # fmt: skip
"""Optimisers that scale their own steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """The usual learning rates of an optimiser: their middle, and how many tenfolds they spread to either side."""

    rate: float
    spread: float = 0.0
    name: str = ""


USUAL: tuple[Usual, ...] = (
    Usual(name="adadelta", rate=1.0, spread=0.3),
    Usual(name="adafactor", rate=3e-3, spread=0.5),
    Usual(name="adagrad", rate=1e-2, spread=0.3),
    Usual(name="lion", rate=1e-4, spread=0.3),
    Usual(name="sophia", rate=3e-4, spread=0.3),
    Usual(name="lamb", rate=3e-3, spread=0.3),
    Usual(name="lars", rate=1.0, spread=0.7),
    Usual(name="muon", rate=2e-2, spread=0.3),
    Usual(name="rmsprop", rate=1e-3),
    Usual(name="adam", rate=1e-3),
)
"""Middles of what the papers and the frameworks' defaults give: Zeiler 2012 (Adadelta, 1.0), Shazeer and Stern 2018
(Adafactor, 1e-2 relative, 1e-3 in transformers), Duchi et al. 2011, Chen et al. 2023 (Lion, a third to a tenth of
Adam's), Liu et al. 2023 (Sophia), You et al. 2017 and 2020 (LARS, LAMB), Jordan 2024 (Muon), Kingma and Ba 2015.
The first whose name is in the optimiser's stands: Adagrad is no Adam, AdamW and NAdam are."""

_TUNING = ("lora", "peft", "adapter", "fine_tun", "finetun", "fine-tun", "pretrained")
TUNED = Usual(name="fine-tuning", rate=5e-5, spread=0.7)
"""Adam on a trained model: 1e-5 (all parameters) to 2e-4 (LoRA, Hu et al. 2021)."""


USUAL_MOMENTUM = 0.9


def is_adaptive(optimizer: str | None) -> bool | None:
    """Whether the optimiser scales its own steps (Adam and kin); None when it is not known."""
    if not optimizer:
        return None
    return any(word in optimizer.lower() for word in ADAPTIVE)


def fine_tunes(context: Context) -> bool:
    """Whether the client says that a trained model is tuned further."""
    said = (context.group, *context.tags, *context.tags.values(), *context.extra)
    words = " ".join(str(word).lower() for word in said if word)
    words += " ".join(str(value).lower() for value in context.extra.values() if isinstance(value, str))
    return any(word in words for word in _TUNING)


def usual(context: Context) -> Usual | None:
    """What is usual for the optimiser of this context; None where neither it nor a momentum is known.

    For SGD 0.1, with momentum 0.1 (1 - momentum): the same distance per step. A momentum beyond the usual 0.9 is out of
    the ordinary itself, and does not make an ordinary rate so.
    """
    name = (context.optimizer or "").lower()
    found = next((u for u in USUAL if u.name in name), None) if name else None
    if found is not None:
        return TUNED if found.name == "adam" and fine_tunes(context) else found
    if name or context.momentum is not None:
        return Usual(name="sgd", rate=0.1 * (1 - min(max(context.momentum or 0.0, 0.0), USUAL_MOMENTUM)))
    return None


def peak_rate(rate: float | None, share: float | None) -> float | None:
    """The highest learning rate so far, from the present one and its share of that: what the run was trained with,
    where a schedule has brought the rate down since."""
    return rate / share if rate and share else rate
