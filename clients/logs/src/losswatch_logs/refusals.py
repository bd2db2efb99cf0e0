"""Why a text cannot be read: each kind of text has its own reason, and says what would help."""

from __future__ import annotations

import re
from collections import Counter
from difflib import get_close_matches
from typing import List, Optional, Sequence

from losswatch_logs.lines import Line
from losswatch_logs.names import meaning
from losswatch_logs.numbers import NUMBER
from losswatch_logs.table import Table

READABLE = (
    "Readable are console output (of Keras, PyTorch, Hugging Face, Lightning, Megatron, Ultralytics, XGBoost and most "
    "others), CSV or TSV with a header line, JSON lines, JSON columns, notebooks, a trainer_state.json, "
    "'key: value' lines, and a bare list of numbers."
)
_LOSS_WORD = re.compile(r"loss|cost|entropy|perplexity|\bppl\b", re.IGNORECASE)
_CSV_HEADER = re.compile(r"(?:[A-Za-z_][\w ./-]*,){1,40}[A-Za-z_]+[\d.,eE+-]{12,}")
_NAMED = re.compile(
    r"(?<![\w.])([^\W\d_][\w()/-]{1,39})[\"']?\s{0,3}(?:[:=]|is\b|was\b)?\s{0,3}[-+]?\d+\.\d", re.IGNORECASE
)
"""A word right before a number with a fraction."""
_LIKE_LOSS = ("loss", "losses", "trainloss", "train_loss", "training_loss", "val_loss")
_NUMBERS = re.compile(r"\s*" + NUMBER + r"(?:[\s,;]+" + NUMBER + r"){2,}[\s,;]*", re.IGNORECASE | re.ASCII)


def no_loss(table: Table) -> str:
    """Why a table with rows has no loss."""
    overflow = table.context.get("tags", {}).get("half_precision_overflow")
    if overflow:
        return (
            f"There is no loss in this text, but {overflow}: half precision overflows, and those steps are skipped. "
            "Train in bf16 or lower the learning rate; send lines with the loss for a verdict."
        )
    names = [table.spelled(name) for name in table.counts()]
    said = [meaning(name) for name in names]
    accuracies = [name for name, means in zip(names, said) if means.kind == "accuracy"]
    if accuracies:
        return (
            f"This log reports an accuracy ({_listed(accuracies)}) and no loss. An accuracy moves in steps and stands "
            "still where the loss still tells: log the loss as well."
        )
    shown = [name for name, means in zip(names, said) if len(name) <= 40 and not means.counts]
    there = f" There are: {_listed(shown)}." if shown else ""
    return (
        f"No column is named like a loss.{there} Name one 'loss' or 'train_loss', as in 'step 10 loss 0.53', or say "
        "which one it is with loss_column=… (--loss-column on the command line)."
    )


def nothing_found(lines: Sequence[Line], called: str) -> str:
    """Why lines gave no row at all."""
    overflow = [line for line in lines if "OVERFLOW" in line.text or "overflow" in line.text]
    if overflow:
        return (
            f"There is no loss in {called}, but {len(overflow)} lines tell of an overflow of half precision: those "
            "steps are skipped. Train in bf16 or lower the learning rate; send lines with the loss for a verdict."
        )
    lost = newlines_lost(lines)
    if lost:
        return lost
    if lines and sum(_NUMBERS.fullmatch(line.text) is not None for line in lines[:200]) * 10 > 9 * len(lines[:200]):
        return (
            f"{called[:1].upper()}{called[1:]} has several numbers in each line and no names: put a header line above "
            "them, such as step,loss,validation_loss."
        )
    named = sum(1 for line in lines[:5000] if _LOSS_WORD.search(line.text))
    if named:
        return (
            f"{called[:1].upper()}{called[1:]} speaks of a loss in {named} lines, but no line gives it a number that "
            f"goes on from step to step, so no training log was found in it. {READABLE}"
        )
    names = _names_there(lines)
    if names:
        like = next((name for name in names if get_close_matches(name.lower(), _LIKE_LOSS, 1, 0.75)), None)
        there = f"Nothing in {called} is named like a loss. There are: {_listed(names)}."
        if like:
            return f"{there} Is {like!r} the loss? Write it 'loss', as in 'step 10 loss 0.53'."
        return f"{there} Name one 'loss' or 'train_loss', as in 'step 10 loss 0.53'."
    return f"No training log was found in {called}. {READABLE}"


def _names_there(lines: Sequence[Line]) -> List[str]:
    """The words before numbers that come in a third of the lines, three or more, and count nothing."""
    lines = lines[:400]
    seen = Counter(name for line in lines for name in set(_NAMED.findall(line.text[:2000])))
    return [
        name
        for name, times in seen.items()
        if times >= 3 and times * 3 >= len(lines) and meaning(name).kind in ("metric", "nothing")
    ]


def newlines_lost(lines: Sequence[Line]) -> Optional[str]:
    """What to say of a text whose newlines were lost, or None where they were not."""
    if len(lines) > 3:
        return None
    longest = max((line.text for line in lines), key=len, default="")
    if _CSV_HEADER.match(longest) or (len(longest) > 400 and len(re.findall(r"\d\.\d", longest)) > 20):
        return (
            "The text is one long line: its newlines were lost on the way. curl's --data drops them; "
            "send the file with --data-binary @file."
        )
    return None


def prose(called: str) -> str:
    """Why a text that mentions losses here and there is no log."""
    return (
        f"{called[:1].upper()}{called[1:]} mentions values named like a loss, but counts no steps and repeats none of "
        "them often enough for a curve: it reads like notes, not like a training log."
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(repr(name) for name in names[:12]) + more
