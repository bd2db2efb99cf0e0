"""A console line as a template and its numbers: ``step 10/500 | loss 0.53`` is ``step #/# | loss #`` and three numbers.

A log repeats few templates many times. So a template is understood once (`understand`: which number has which name)
and a line costs one split and one look-up. Nothing here looks back over a line, so the time is linear in its length.
"""

from __future__ import annotations

import re
from typing import Dict, NamedTuple, Optional, Tuple

from losswatch_logs import words as w
from losswatch_logs.names import BARE, BRACKET, LEAD, NOTHING, PLACE, UNNAMED, meaning, plain, words
from losswatch_logs.naming import name_at_end
from losswatch_logs.splitting import split_numbers

_MODE = re.compile(r"\((?:train|val|test|eval)\)\s*$", re.IGNORECASE)
_ARGUMENTS = re.compile(r"(\w) ?\([\w ,.]{0,40}\)\s*(?:[:=]|->)\s*$")
_LOGGER = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_SOURCE_LINE = re.compile(r"\([\w.]+:$")
_ENDING = re.compile(r"(?:[:=：]|->|=>|→)\s*$")
_OPENING = re.compile(
    r"(?:[\w.]*(?:tensor|array|float|int|float16|float32|float64|variable|scalar)\s*\()?[\s\[({\"'`$]*$", re.IGNORECASE
)
_SPLIT_WORD = re.compile(
    r"(?<![\w./\\])(train(?:ing)?|val(?:id(?:ation)?)?|eval(?:uat(?:ion|ing|e))?|validating|test(?:ing)?|dev)(?![\w/\\]|\.\w|=)",
    re.IGNORECASE,
)
_INSIDE = re.compile(r"\b(?:per|every|last|previous)\s*$", re.IGNORECASE)
_TOLD = re.compile(
    r"((?:[A-Za-z][\w\-/]*\s){0,3}(?:[\w\-]*loss|cost|perplexity|nll|error))\s*"
    r"(?:at|after|for|in|on|@|\(|\[)\s*(?:the\s+)?(?:end\s+of\s+)?(epoch|step|iteration|iter|batch)?\s*[#:]?\s*$",
    re.IGNORECASE,
)
_NESTED = re.compile(r"(\w*loss\w*)['\"]?\s*[:=]\s*\{\s*['\"](\w{1,40})['\"]\s*:\s*$", re.IGNORECASE)
"""``loss: {'a': 0.5``: a value of a dictionary that is a loss."""
_INDEX = re.compile(r"\]\s*[:=]")
_FOLLOWED = re.compile(
    r"(?:st|nd|rd|th)?[ -]{0,3}(epoch|iteration|iter|step|round|episode|batch|轮|エポック|에폭)(?:e?s)?\b"
    r"(?! ?(?:/|per|left|remain|ago|total))(?=.*[^\W\d_])",
    re.IGNORECASE | re.DOTALL,
)
"""``3 epoch``, ``3rd epoch``, ``After 3 epochs``: a counter that stands behind its number."""
_MEASURED = re.compile(r"loss|cost|error|entropy|\bnll|ppl|perplex|损失|損失|손실", re.IGNORECASE)
_BARE_AFTER = re.compile(
    r"\s*(?:steps?|epochs?|iter(?:ation)?s?|batch(?:es)?)?\s*[\])]?\s*(?:[:=]|is|was|->|-)?\s*", re.IGNORECASE
)


_AND_COUNTED = re.compile(
    r"\s*(?:,|and|&|;|/|-)?\s*(?:at\s+|of\s+)?(epoch|step|iteration|iter|batch)\s*[#:=]?\s*", re.IGNORECASE
)
"""``loss at epoch 3 and iteration 500 is 0.5``: a second counter before the value."""


class Plan(NamedTuple):
    """What the numbers of a template are: ``values`` and ``totals`` as (column, place), and what the words say.

    ``measures``: a loss or gradient norm is among the values; ``tells``: a learning rate or an accuracy.
    """

    values: Tuple[Tuple[str, int], ...]
    totals: Tuple[Tuple[str, int], ...]
    names: Dict[str, str]
    measures: bool
    tells: bool
    counts: bool
    bar: bool


_NOTHING_TO_READ = Plan((), (), {}, False, False, False, False)
_REMEMBERED = 8192
_known: Dict[Tuple[str, ...], Plan] = {}
"""The plans of the templates seen lately: what a template means does not depend on the log that it stands in."""


class Words(NamedTuple):
    """The named numbers of one line, the totals that follow a counter (``10/500``), and its plan."""

    values: Dict[str, float]
    totals: Dict[str, float]
    plan: Plan


def read_words(line: str, *, every: bool = False) -> Words:
    """The named numbers of one line; with ``every`` also of a line in which nothing has a known name."""
    parts = split_numbers(line)
    gaps = tuple(parts[::2])
    plan = _known.get(gaps)
    if plan is None:
        plan = understand(gaps) if every or w.WORTH_READING.search(line) else _NOTHING_TO_READ
        if len(_known) >= _REMEMBERED:
            _known.clear()
        if plan is not _NOTHING_TO_READ:
            _known[gaps] = plan
    value = _value if "," in line else float
    values = {name: value(parts[place]) for name, place in plan.values}
    totals = {name: value(parts[place]) for name, place in plan.totals} if plan.totals else {}
    return Words(values, totals, plan)


def _value(text: str) -> float:
    return float(text.replace(",", ""))


def understand(gaps: Tuple[str, ...]) -> Plan:
    """Which number of a template is what. ``gaps`` is the text before, between and after the numbers."""
    return _Reader(gaps).plan()


class _Reader:
    def __init__(self, gaps: Tuple[str, ...]) -> None:
        self.gaps = gaps
        self.values: Dict[str, int] = {}
        self.totals: Dict[str, int] = {}
        self.names: Dict[str, str] = {}
        self.last: Optional[str] = None
        self.split = ""
        self.bracketed = 0
        self.pending: Optional[str] = None
        self.joined = ""
        self.partner = ""

    def plan(self) -> Plan:
        for place in range(len(self.gaps) - 1):
            self._see(place)
        meanings = [meaning(self.names[name]) for name in self.values]
        text = "".join(self.gaps)
        return Plan(
            tuple((name, 2 * place + 1) for name, place in self.values.items()),
            tuple((name, 2 * place + 1) for name, place in self.totals.items() if name in self.values),
            self.names,
            any(each.measured for each in meanings),
            any(each.kind in ("learning_rate", "accuracy") for each in meanings),
            any(each.counts for each in meanings),
            "%|" in text or "it/s" in text or "s/it" in text or "%: " in text,
        )

    def _see(self, place: int) -> None:
        gap, after = self.joined + self.gaps[place], self.gaps[place + 1]
        self.joined = ""
        if _INSIDE.search(gap[-40:]):
            self.joined = f"{gap} "  # "loss per 100 steps: 0.5": the number belongs to the name
            return
        split = self.split
        for word in _SPLIT_WORD.finditer(gap):
            self.split = _split_of(word[1].lower())
        if self._continues(gap, after, place):
            return
        name = self._name(gap, after, place)
        name = self._told_before(gap, after, name, place)
        self.last = None
        if name is None:
            return
        said = meaning(name)
        if said.score == BARE and self.partner:
            name = f"{name} {self.partner}"  # "train loss 0.5 val 0.6"
            said = meaning(name)
        self.partner = _without_set(name) if said.split else ""
        if said.kind == NOTHING or (said.kind == "metric" and _LOGGER.fullmatch(name)):
            self.last = ""
            return
        if said.counts and said.split and place and said.kind != "epoch":
            self.split = split  # "Val steps: 20" says nothing of the values that follow
        column = name if name in (PLACE, LEAD, BRACKET, UNNAMED) else plain(name) or name
        if self.split in ("val", "test") and not said.counts and not said.split and said.kind != "learning_rate":
            name = f"{self.split} {name}"
            column = plain(name)
        self.last = column
        if column not in self.values:
            self.values[column] = place
            self.names[column] = name

    def _told_before(self, gap: str, after: str, name: Optional[str], place: int) -> Optional[str]:
        """``Loss after 100 steps: 0.5``, ``loss at epoch 3 is 0.5``: the name, a counter's number, then the value."""
        pending, self.pending = self.pending, None
        second = _AND_COUNTED.fullmatch(gap) if pending else None
        if second and meaning(second[1]).kind not in map(_kind_of, self.names.values()):
            self.pending = pending
            return second[1].lower()
        if pending and _BARE_AFTER.fullmatch(gap):
            counted = meaning(gap.strip(" :=)]")).kind
            if counted in ("step", "epoch", "batch") and counted not in self.values:
                self.values[counted] = place - 1
                self.names[counted] = counted
            return pending
        told = _TOLD.search(gap[-160:])
        if told and (told[2] or not gap.endswith("[") or _INDEX.match(after)):
            self.pending = told[1].strip(" -*")
            return told[2] if told[2] and meaning(told[2]).counts else None
        return name

    def _continues(self, gap: str, after: str, place: int) -> bool:
        """A number that belongs to the one before it: its total, its spread, its mean, the rest of a date or time."""
        tight = gap.strip()
        if place == 0:
            return False
        if tight in ("/", "of", "out of", "von", "de", "sur"):
            if self.last and self._is_date(place):
                self._forget(place - 1)
            elif self.last and self.last not in self.totals:
                self.totals[self.last] = place
            return True
        if gap in ("- ", "-", " - ", "..") and self.last in (PLACE, "minibatch", "batch"):
            self.values[self.last] = place  # a range of batches: its end
            return True
        if tight in ("±", "+/-", "+-", "+", "(+", "(±", "(+/-"):
            return True
        if tight == "(" and after.lstrip().startswith((")", "%)")):
            return True
        if gap in (":", "-", "/", ",", "."):
            if gap == ":" and self.last and not meaning(self.names.get(self.last, "")).counts:
                self._forget(place - 1)
            return gap != "," or self.last is None
        return False

    def _is_date(self, place: int) -> bool:
        """``2031/06/30``, ``11/24 10:30:22``: fractions that go on."""
        gaps = self.gaps
        third = place + 1 < len(gaps) - 1 and gaps[place + 1].strip() == "/" and gaps[place + 1] == "/"
        clock = place + 2 < len(gaps) - 1 and gaps[place + 1] == " " and gaps[place + 2] == ":"
        return third or clock

    def _forget(self, place: int) -> None:
        for name in [name for name, at in self.values.items() if at == place]:
            del self.values[name]
        self.last = ""

    def _name(self, gap: str, after: str, place: int) -> Optional[str]:
        counted = self._counted_before(gap, after, place)
        if counted is not None:
            return counted
        unit = after[:1]
        united = unit.isalpha() or unit in ("_", "µ") or (unit == "." and after[1:2].isalnum())
        if united and not _is_known_unit_of_loss(after):
            return None
        gap = gap[-400:]
        opened = _OPENING.search(gap)
        text = gap[: opened.start()] if opened else gap
        brackets = opened[0].strip() if opened else ""
        explicit = _ENDING.search(text) is not None
        text = _MODE.sub("", text[-240:])
        if explicit:
            text = _ARGUMENTS.sub(r"\1", text)
        name = name_at_end(text, explicit, following=place > 0)
        special = _special_name(text, name, after, brackets, first=place == 0)
        if special is not None:
            return special
        if name is not None and not explicit and meaning(name).score == BARE and LEAD not in self.values:
            return None  # "Training 1" is a heading; "0 train 10.9" is build-nanogpt
        counts = name is not None and meaning(name).counts
        if explicit and ("name = " in text or (after[:1] == ")" and not counts and _SOURCE_LINE.search(text))):
            return None  # TensorFlow's variables: name = loss/kernel:0; a logger's (trainer:487)
        if name is not None and brackets.endswith("[") and after.startswith(("/", "]")) and not meaning(name).counts:
            indexed = after.startswith("]") and gap[-2:-1].isalnum()
            if indexed and (meaning(name).kind != "loss" or _INDEX.match(after)):
                return None  # the index of a series: EvalErr[0]
            name = name if indexed else None
        if name is not None:
            if (
                after.startswith("%")
                and meaning(name).kind in ("step", "batch", "epoch", "loss")
                and "loss" not in name.lower()
            ):
                return None
            return name
        return self._unnamed(gap, after, brackets, place)

    def _counted_before(self, gap: str, after: str, place: int) -> Optional[str]:
        """The counter that stands behind its number, ``3 epoch``, in a line that goes on to measure something."""
        counted = _FOLLOWED.match(after)
        if counted is None or not any(_MEASURED.search(later) for later in self.gaps[place + 1 :]):
            return None
        explicit = _ENDING.search(gap) is not None
        named = name_at_end(gap[-240:], explicit, following=place > 0)
        unnamed = named is None or (meaning(named).score == BARE and not explicit)
        return counted[1].lower() if unnamed else None

    def _unnamed(self, gap: str, after: str, brackets: str, place: int) -> Optional[str]:
        """Counters that are known by their place: ``[3][40/735]``, ``|36/96 [``, ``[1, 500]``, ``12: loss``."""
        closing = after.lstrip()
        fraction = closing.startswith("/") or after.startswith(" of ")
        clock = place + 2 < len(self.gaps) and self.gaps[place + 1] == "/" and self._is_date(place + 1)
        if (
            fraction
            and not clock
            and (brackets.endswith(("[", "(")) or gap.rstrip().endswith(("|", "]")) or not gap.strip())
        ):
            samples = self.gaps[place + 2 : place + 3]
            if (
                samples
                and samples[0].startswith((" (", "("))
                and self.gaps[place + 3 : place + 4][:1]
                and self.gaps[place + 3].startswith("%")
            ):
                return "samples"
            return self._bracket()
        if brackets.endswith("[") and after.startswith("][") and "epoch" not in self.values:
            return "epoch"
        start = not gap.strip(" \"'") or gap.strip() == "["
        if place == 0 and start:
            if gap.strip() == "[" and after.startswith(",") and any(map(str.isalpha, "".join(self.gaps[2:3]))):
                self.bracketed += 1
                return "epoch"
            if gap.strip() == "[" and after.startswith("]"):
                return BRACKET
            if not gap.strip() and (
                after.startswith((" ", "\t", ": ", ":\t", ") ", ". ", " |")) and after.strip(" :|).")
            ):
                return LEAD
        if self.bracketed == 1 and gap.strip() == "," and after.startswith("]") and place == 1:
            self.bracketed += 1
            return PLACE
        if gap.strip() in ("][", "[") and after.startswith("]") and "epoch" in self.values and place == 1:
            return PLACE
        if self._ends_counters(gap, after, place):
            return UNNAMED
        return None

    def _ends_counters(self, gap: str, after: str, place: int) -> bool:
        """Whether a number follows counters and a colon, and ends the line: ``epoch 0, batch 3: 4.98``."""
        counters = [meaning(name).kind in ("epoch", "step", "batch") for name in self.names.values()]
        return place > 0 and gap.strip() == ":" and not after.strip() and len(counters) == place and all(counters)

    def _bracket(self) -> Optional[str]:
        """The first fraction without a name is the epoch where a second follows, else the batch."""
        counted = any(meaning(name).kind == "epoch" for name in self.names.values())
        if not counted and "epoch" not in self.values and "#".join(self.gaps).count("[#/#]") >= 2:
            return "epoch"
        return PLACE if PLACE not in self.values else None


def _special_name(text: str, name: Optional[str], after: str, brackets: str, *, first: bool) -> Optional[str]:
    """Names that follow from more than the words before the number."""
    nested = _NESTED.search(text)
    if nested:
        return f"{nested[1]} {nested[2]}"
    counts_epochs = after.startswith((" [", "[")) or (brackets == "(" and after.startswith("/"))
    if first and name is not None and counts_epochs and meaning(name).score == BARE:
        return "epoch"  # timm's "Train: 3 [  50/1251 (  4%)]", Catalyst's "train (3/10)"
    return None


def _kind_of(name: str) -> str:
    return meaning(name).kind


def _without_set(name: str) -> str:
    """The name without the words that say which data it is of: of "train loss" the "loss"."""
    return " ".join(word for word in words(name) if word not in w.TRAINING | w.HELD_OUT)


def _is_known_unit_of_loss(after: str) -> bool:
    return after.startswith(("nats", "bits", "e+", "e-", "f0")) or after[:2] == "x "


def _split_of(word: str) -> str:
    if word in w.VALIDATION or word.startswith(("val", "eval", "dev")):
        return "val"
    return "test" if word.startswith("test") else "train"
