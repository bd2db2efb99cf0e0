"""What a name means: loss, validation loss, counter, learning rate, gradient norm, accuracy, or nothing of these."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import FrozenSet, List, NamedTuple, Optional, Tuple
from unicodedata import combining, normalize

from losswatch_logs import words as w

_REMEMBERED = 8192
"""The same few names come on every line of a log."""
_WORD = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+|#|[^\W\d_a-zA-Z]+")
_OTHER = re.compile(r"[^\w#]+", re.UNICODE)
_GLUED = re.compile(
    r"(train|training|tr|trn|val|valid|validation|test|tst|eval|dev|avg|mean|total|batch|epoch|running|step|lm|g|d|gen|disc|cls|box|"
    r"reg|recon|kl|ce|mse|bce|nll|hinge|aux|rpn|triplet|contrastive|dice|focal|style|content|policy|value|actor|critic)"
    r"(loss|losses|cost|acc|accuracy|err|error)"
)
_DETECTOR = re.compile(r"(m?rcnn|rpn)(l1|log|cls|class|bbox|box|mask|reg)")
_LOSS_OF = re.compile(r"(loss)(value|train|tr|val|valid|test|avg|mean|total|g|d|cls|box|reg|all)")
_SOURCE = re.compile(r"\.(?:py|pyx|cc|cpp|cu|c|h|hpp|lua|jl|r|rs|go|java|js|ts|ipynb|m|sh|scala)\b", re.IGNORECASE)

_FOREIGN = re.compile("|".join(rf"\b{word}\b" if word.isascii() else word for word in w.FOREIGN), re.IGNORECASE)

NOTHING = "nothing"
PLACE, LEAD, BRACKET = "k/n", "n:", "[n]"
"""Columns of counters without a name: of a bar, at the start of a line, in brackets there."""
UNNAMED = "the number after the counters"
"""The column of a value without a name, as in ``epoch 0, batch 3: 4.98``."""
BARE = 25
"""The score of a set's name alone ("train: 0.5"), which is a loss for want of another."""
_ADVERSARIAL_ALONE = frozenset(
    ["d", "g", "cycle", "idt", "gan", "a", "b", "l1", "feat", "vgg", "real", "fake", "errd", "errg"]
)


class Meaning(NamedTuple):
    """``kind``: loss, step, epoch, batch, progress, rank, learning_rate, grad_norm, accuracy, metric or nothing.

    ``score`` orders names of one kind, the best highest. ``split``: train, val, test or empty. ``minimize`` is false
    for what training drives up. ``part``: one term of a loss. ``family``: gan, rl, detection or empty. ``summary``: a
    mean over many steps.
    """

    kind: str
    score: int = 0
    split: str = ""
    minimize: bool = True
    part: bool = False
    family: str = ""
    summary: bool = False

    @property
    def held_out(self) -> bool:
        return self.split in ("val", "test")

    @property
    def counts(self) -> bool:
        return self.kind in ("step", "epoch", "batch", "progress", "rank")

    @property
    def measured(self) -> bool:
        return self.kind in ("loss", "grad_norm")


@lru_cache(maxsize=_REMEMBERED)
def plain(name: str) -> str:
    """A column's name in lower case with everything else than letters and digits as one underscore."""
    return _OTHER.sub("_", name.lower()).strip("_")


@lru_cache(maxsize=_REMEMBERED)
def words(name: str) -> Tuple[str, ...]:
    """The words of a name in lower case: ``TrainLossPerSample``, ``val-loss`` and ``valloss`` taken apart."""
    found: List[str] = []
    if not name.isascii():
        name = _english(name)
    for word in _WORD.findall(name.replace("mAP", "map").replace("MAP", "map")):
        word = word.lower()
        word = w.FOREIGN.get(word, word)
        glued = _GLUED.fullmatch(word) or _LOSS_OF.fullmatch(word)
        glued = glued or _DETECTOR.fullmatch(word)
        found.extend(glued.groups() if glued else (word,))
    return tuple(found)


def _english(name: str) -> str:
    """``pérdida``, ``训练损失`` in the words that names are known by."""
    bare = normalize("NFC", "".join(sign for sign in normalize("NFKD", name) if not combining(sign)))
    return _FOREIGN.sub(lambda found: f" {w.FOREIGN[found[0].lower()]} ", bare)


@lru_cache(maxsize=_REMEMBERED)
def meaning(name: str) -> Meaning:
    """What a name says, by its words alone."""
    if name.startswith("EvalErr"):
        return Meaning("metric")  # CNTK's error on what it trains on
    if name in (PLACE, LEAD, BRACKET):
        return {PLACE: Meaning("batch", 65), LEAD: Meaning("step", 55), BRACKET: Meaning("step", 50)}[name]
    if name == UNNAMED:
        return Meaning("loss", 30)
    if len(name) > 200 or _SOURCE.search(name):
        return Meaning(NOTHING)
    listed = words(name)
    given = frozenset(listed)
    if not given:
        return Meaning("step", 45) if name.strip() == "#" else Meaning(NOTHING)
    split = _split(listed)
    if given & w.LOSS or any(word.endswith("loss") for word in given):
        return _loss(listed, given, split)
    if listed[0] == "l" and len(listed) > 1 and listed[1] not in ("r", "1", "2"):
        score = 58 + 11 * bool(given & w.PRINCIPAL)
        return Meaning("loss", score, split, part=True, family=_family(given - {"l"}))  # BasicSR: l_pix, l_g_gan
    if len(listed) > 1 and given <= _ADVERSARIAL_ALONE and given & {"d", "g", "cycle", "idt", "gan", "errd", "errg"}:
        return Meaning("loss", 55, split, part=True, family="gan")  # CycleGAN: D_A, G_A, cycle_A
    if len(listed) == 1 and (listed[0] in w.HELD_OUT or listed[0] in ("train", "training", "learn", "trl")):
        return Meaning("loss", BARE, split)
    if listed == ("total",):
        return Meaning("loss", 32)
    for read in (_rate, _norm, _counter, _substitute):
        found = read(listed, given, split)
        if found is not None:
            return found
    if given & w.ACCURACY:
        return Meaning("accuracy", 50, split)
    if given <= w.NO_SERIES | w.NO_COUNTER:
        return Meaning(NOTHING)
    return Meaning("metric", 0, split)


def _split(listed: Tuple[str, ...]) -> str:
    for word in listed:
        if word in w.VALIDATION:
            return "val"
        if word in w.TEST:
            return "test"
        if word in w.TRAINING:
            return "train"
    return ""


def _loss(listed: Tuple[str, ...], given: FrozenSet[str], split: str) -> Meaning:
    bare = {"loss" if word in w.LOSS or word.endswith("loss") else word for word in given}
    if bare & w.NOT_A_LOSS and "policy" not in bare:
        return Meaning(NOTHING, split=split)
    score = 100 + 5 * (split == "train") + 4 * bool(bare & w.TOTAL)
    glued = [word[:-4].rstrip("_") for word in given if word.endswith("loss") and word != "loss"]
    rest = (bare - {"loss"} - w.PLAIN_WITH_LOSS - w.LAST) | {word for word in glued if word not in w.PLAIN_WITH_LOSS}
    rest = {word for word in rest if not word.isdigit()}
    if {"cross", "entropy"} <= rest:
        rest = (rest - {"cross", "entropy", "binary", "categorical", "sparse"}) | {"crossentropy"}
    if ("value", "loss") in zip(listed, listed[1:]):
        rest.add("value")  # of reinforcement learning; "lm loss value" is another thing
    summary = bool(bare & w.SUMMARY)
    score -= 12 * summary + 3 * bool(bare & w.LANGUAGE_MODEL) + 45 * bool(bare & w.LAST)
    score -= 2 * bool(bare & {"epoch"})
    score += 11 * bool(rest & w.PRINCIPAL) - 15 * bool(bare & w.UPSTREAM)
    family = _family(rest)
    if rest & {"log", "logloss", "mlog", "nll", "ce", "xent", "crossentropy", "softmax"} and not family:
        return Meaning("loss", score - 14, split, summary=summary)
    part = bool(rest)
    return Meaning("loss", score - 40 * part, split, part=part, family=family, summary=summary)


def _family(rest: FrozenSet[str] | set[str]) -> str:
    if rest & w.ADVERSARIAL:
        return "gan"
    if rest & (w.REINFORCEMENT - {"kl", "temperature", "temp", "v", "alpha", "value", "entropy", "approx"}):
        return "rl"
    if rest & w.DETECTION_PARTS:
        return "detection"
    return "rl" if rest & {"value", "entropy", "approx"} else ""


def _rate(listed: Tuple[str, ...], given: FrozenSet[str], split: str) -> Optional[Meaning]:
    named = (
        "lr" in given
        or {"learning", "rate"} <= given
        or listed == ("learn", "rate")
        or listed[:2] == ("l", "r")
        or "learningrate" in given
    )
    if not named:
        return None
    if given & {
        "min",
        "max",
        "final",
        "decay",
        "mult",
        "scheduler",
        "schedule",
        "gamma",
        "warmup",
        "factor",
        "end",
        "policy",
        "drop",
    }:
        return Meaning(NOTHING)
    extra = given - {"lr", "learning", "learn", "rate", "l", "r", "learningrate"}
    return Meaning("learning_rate", 100 - 10 * len(extra))


def _norm(listed: Tuple[str, ...], given: FrozenSet[str], split: str) -> Optional[Meaning]:
    grad = given & {"grad", "gradient", "grads", "gradients"}
    short = given & {"gnorm", "gradnorm", "gn"}
    if not (
        short
        or (grad and given & {"norm", "l2"})
        or listed in (("norm",), ("total", "norm"), ("grad",), ("gradient",), ("g", "n"))
    ):
        return None
    if given & {"clip", "clipping", "max", "threshold", "limit", "num", "zeros", "nan", "layer", "ratio", "clipped"}:
        return Meaning(NOTHING)
    extra = given - {"grad", "gradient", "grads", "gradients", "norm", "gnorm", "gradnorm", "gn", "l2"} - w.TRAINING
    whole = extra <= {"total", "global", "2", "0", "all", "raw", "overall", "g", "avg", "mean", "unclipped"}
    return Meaning(
        "grad_norm", (100 if whole else 60) - 5 * len(extra) - 20 * (listed in (("norm",), ("grad",), ("gradient",)))
    )


def _counter(listed: Tuple[str, ...], given: FrozenSet[str], split: str) -> Optional[Meaning]:
    nouns = w.EPOCH | w.STEP | w.FAR_STEP | w.BATCH | w.PROGRESS | w.RANK
    if not given & nouns:
        return None
    if given & w.NO_COUNTER:
        return Meaning(NOTHING) if given <= nouns | w.NO_COUNTER | w.WITH_COUNTER else None
    if given - nouns - w.WITH_COUNTER - {word for word in given if word.isdigit()}:
        return None
    planned = 30 * bool(given & {"total", "num", "epochs"} and not given & {"timesteps", "updates"})
    if given & w.RANK:
        return Meaning("rank", 50)
    if given & w.EPOCH:
        if given & (w.STEP | w.BATCH):
            return Meaning("batch", 60, split)
        return Meaning("epoch", 90 - planned, split)
    if given & w.BATCH:
        return Meaning("batch", 70 - planned, split)
    if given & w.STEP:
        if given & {"inner", "local"}:
            return Meaning("batch", 60, split)
        return Meaning("step", 90 + 10 * ("global" in given) - planned, split)
    if given & w.FAR_STEP:
        return Meaning("step", 70 - planned, split)
    return Meaning("progress", 10, split)


def _substitute(listed: Tuple[str, ...], given: FrozenSet[str], split: str) -> Optional[Meaning]:
    """What stands for the loss where nothing is named so."""
    if given & {
        "best",
        "min",
        "max",
        "std",
        "var",
        "time",
        "rate",
        "scale",
        "weight",
        "lowest",
        "threshold",
        "delta",
        "diff",
        "change",
        "s",
        "w",
        "lambda",
        "coef",
        "coeff",
    } - ({"s"} if "cost" not in given else set()):
        return None
    train = 5 * (split == "train")
    mean = bool(given & w.SUMMARY)
    likelihood = {"log", "likelihood"} <= given or given & {"loglik", "loglikelihood", "logprob", "llk", "logp"}
    if (
        {"cross", "entropy"} <= given
        or given & w.CROSS_ENTROPY
        or (likelihood and given & {"negative", "neg", "n", "nlog"})
    ):
        extra = (
            given
            - w.PLAIN_WITH_LOSS
            - w.CROSS_ENTROPY
            - {"cross", "entropy", "binary", "categorical", "sparse", "softmax"}
        )
        return Meaning("loss", 82 + train - 5 * bool(extra), split, summary=mean)
    if "cost" in given or "costs" in given:
        if given - w.PLAIN_WITH_LOSS - {"cost", "costs", "function"} or given & {"batch", "step", "iter", "data"}:
            return Meaning(NOTHING)
        return Meaning("loss", 78 + train, split, summary=mean)
    squared = given & w.SQUARED or {"squared", "error"} <= given or {"square", "error"} <= given
    if squared:
        return Meaning("loss", 70 + train - 2 * ("rmse" in given), split)
    if given & w.ABSOLUTE or {"absolute", "error"} <= given:
        return Meaning("loss", 62 + train, split)
    if given & {"objective", "energy", "deviance"} and "function" not in given:
        return Meaning("loss", 60 + train, split)
    if given & w.BITS or {"bits", "per"} <= given:
        return Meaning("loss", 50 + train, split)
    if given & w.PERPLEXITY:
        return Meaning("loss", 40 + train, split)
    if likelihood or given & {"elbo", "loglike"}:
        return Meaning("loss", 36 + train, split, minimize=False)
    if given & {"error", "err", "epe"} and not given & {"rate", "wer", "cer"}:
        return Meaning("loss", 28 + train, split)
    if given & w.REWARD or {"rew", "mean"} <= given:
        return Meaning("loss", 10, split, minimize=False, family="rl")
    return None
