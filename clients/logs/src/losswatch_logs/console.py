"""Console logs of named numbers: nanoGPT, llm.c, PyTorch's examples, mmengine, detectron2, Megatron, fairseq, Hugging
Face's dictionaries, progress bars, and what people print themselves.
"""

from __future__ import annotations

import re
from typing import Dict, FrozenSet, List, Optional, Sequence

from losswatch_logs import turns
from losswatch_logs.lines import Line
from losswatch_logs.names import PLACE, meaning, plain
from losswatch_logs.table import Mark, Table
from losswatch_logs.templates import Plan, Words, read_words

_LONGEST = 20_000
"""A console line is shorter; longer ones are skipped unread."""
_MODE = re.compile(
    r"[\W_]*(?:(?:start(?:ing)?|begin(?:ning)?|running|run) )?"
    r"(train(?:ing)?|val(?:id(?:ation|ating)?)?|eval(?:uat(?:ion|ing|e))?|test(?:ing)?)"
    r"(?: (?:set|phase|results?|errors?|metrics|stats|loop|mode))?(?: (?:at|after|of|for|in))?"
    r"(?: ?(?:epoch|step|iteration)s?)?"
    r"[\W_]*\d*[\W_]*",
    re.IGNORECASE,
)
_HEADING = re.compile(
    r"^\W*[#=*~-]{2,}|:\s*$|\b(?:run|experiment|exp|trial|fold|seed|config|model|setting|variant|baseline|training|attempt|job|start(?:ing|ed)?|with)\b",
    re.IGNORECASE,
)
_NO_HEADING = re.compile(r"resum|restor|load|saving|saved|checkpoint|warning", re.IGNORECASE)
_PLANNED = 70
"""A counter that scores less says how many steps there are, or will be."""


def read_console(lines: Sequence[Line], wanted: Sequence[Optional[str]] = ()) -> Optional[Table]:
    """The rows of the lines that name a loss or a gradient norm, or what is ``wanted``; None when there is none."""
    return _Console(frozenset(plain(name) for name in wanted if name)).read(lines)


class _Console:
    def __init__(self, wanted: FrozenSet[str]) -> None:
        self.wanted = wanted
        self.table = Table("console")
        self.carried: Dict[str, float] = {}
        self.mode = ""
        self.dictionaries = 0
        self.forms: Dict[int, Plan] = {}
        self.held_out: Dict[int, str] = {}
        self.under_heading = False
        self.bars: List[Optional[float]] = []

    def read(self, lines: Sequence[Line]) -> Optional[Table]:
        for line in lines:
            self._see(line)
        table = self.table
        if not table.rows:
            return None
        turns.tell_apart(table, self.bars)
        _join_counters(table)
        names = set(table.counts())
        if self.dictionaries * 2 > len(table.rows) and {"loss", "learning_rate", "epoch"} <= names:
            table.context["framework"] = "transformers"
        if "step" not in names and table.context.get("framework") == "transformers":
            table.notes.append("these lines carry no step: its number is the count of the logged lines")
        return table

    def _see(self, line: Line) -> None:
        text, table = line.text, self.table
        if len(text) > _LONGEST:
            table.skip(line.number, text[:400], f"longer than {_LONGEST:,} characters")
            return
        words = read_words(text, every=bool(self.wanted))
        plan = words.plan
        if "train_runtime" in words.values:
            table.skip(line.number, text, "the summary at the end of the training, not a step")
        elif (
            plan.measures
            or (plan.tells and (plan.counts or self.carried))
            or (self.wanted and not self.wanted.isdisjoint(map(plain, words.values)))
        ):
            self._add(line, words)
            if not plan.measures and plan.counts and self.table.marks[-1].bar is False:
                self._carry(words)
        else:
            self._carry(words)
            self._head(text)
            table.skip(line.number, text, "no loss or gradient norm in it")

    def _add(self, line: Line, words: Words) -> None:
        values, names = words.values, words.plan.names
        form = id(words.plan)
        if self.mode and words.plan.measures:
            self._learn_form(words.plan)
        if self.mode and words.plan.measures and not words.plan.counts:
            values, names = _held_out(values, names, self.mode)
        elif form in self.held_out:
            values, names = _held_out(values, names, self.held_out[form])
        row = {**self.carried, **values} if self.carried else values
        if self.carried and not self.carried.keys().isdisjoint(values):
            # A line that counts itself ends what an earlier line said of those that follow.
            self.carried = {name: value for name, value in self.carried.items() if name not in values}
        table = self.table
        if names is not words.plan.names or form not in self.forms:
            self.forms[form] = words.plan
            for name in values:
                table.names.setdefault(name, names[name])
        if words.totals:
            table.totals.update(words.totals)
        self.dictionaries += "{'" in line.text
        table.add(row, Mark(line.number, line.redrawn or words.plan.bar, form))
        self.bars.append(words.totals.get(PLACE))

    def _learn_form(self, plan: Plan) -> None:
        """A form of line that first comes right under the heading of a validation is the validation's from there on."""
        if self.under_heading and self.forms and id(plan) not in self.forms:
            self.held_out[id(plan)] = self.mode
        self.under_heading = False

    def _carry(self, words: Words) -> None:
        """Counters on a line of their own ("Epoch 3/90") hold for the lines that follow."""
        counters: Dict[str, float] = {}
        steps = False
        for name, value in words.values.items():
            means = meaning(words.plan.names[name])
            in_epoch = name == PLACE and bool(counters) and not words.plan.bar
            if (means.kind in ("step", "epoch") and means.score >= _PLANNED) or in_epoch:
                counters[name] = value
                steps = steps or means.kind == "step"
                self.table.names.setdefault(name, words.plan.names[name])
        first = next(iter(words.values), "")
        if not counters or (len(words.values) > len(counters) + 1 and first not in counters):
            return  # a counter in passing, as in a line of settings
        if any(self.carried.get(name) != value for name, value in counters.items()):
            self.mode = ""
        self.carried = {**self.carried, **counters} if steps else counters
        self.table.totals.update({name: total for name, total in words.totals.items() if name in counters})

    def _head(self, text: str) -> None:
        """A heading may begin the validation, or a run."""
        if len(text) > 120 or text.lstrip().startswith("<") or not any(map(str.isalpha, text)):
            return
        mode = _MODE.fullmatch(text.strip())
        if mode:
            word = mode[1].lower()
            self.mode = "" if word.startswith("train") else "test" if word.startswith("test") else "val"
            self.under_heading = True
        elif (
            _HEADING.search(text)
            and not _NO_HEADING.search(text)
            and not text.lower().lstrip(" -=*#").startswith(("epoch", "step", "iter"))
        ):
            self.table.headings.append((len(self.table.rows), text.strip()))


def _held_out(values: Dict[str, float], names: Dict[str, str], mode: str) -> tuple[Dict[str, float], Dict[str, str]]:
    """Values under a heading "Validation:" by names that say so."""
    if any(meaning(names[name]).split for name in values):
        return values, names
    renamed = {f"{mode}_{name}": value for name, value in values.items()}
    return renamed, {f"{mode}_{name}": f"{mode} {names[name]}" for name in values}


def _join_counters(table: Table) -> None:
    """nanoGPT counts training lines as "iter" and evaluations as "step": one counter where no line has two."""
    for kind in ("step", "epoch"):
        counters = [
            name
            for name in table.counts()
            if meaning(table.spelled(name)).kind == kind and meaning(table.spelled(name)).score >= _PLANNED
        ]
        if len(counters) < 2 or any(sum(name in row for name in counters) > 1 for row in table.rows):
            continue
        first = counters[0]
        others = set(counters[1:])
        table.rows = [
            {first if name in others else name: value for name, value in row.items()}
            if not others.isdisjoint(row)
            else row
            for row in table.rows
        ]  # fmt: skip
        for name in others:
            if name in table.totals:
                table.totals.setdefault(first, table.totals[name])


def values_of_best(table: Table) -> int:
    """How many values the fullest column of a loss or gradient norm has."""
    counts = table.counts()
    return max((count for name, count in counts.items() if meaning(table.spelled(name)).measured), default=0)


def counted(table: Table) -> bool:
    """Whether any row carries a counter."""
    return any(meaning(table.spelled(name)).counts for name in table.counts())
