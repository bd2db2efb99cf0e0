"""Which column is read as what: a scored choice with its reasons, and with a doubt where another would do as well."""

from __future__ import annotations

import math
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from losswatch_logs import words as w
from losswatch_logs.names import BARE, Meaning, meaning, plain, words
from losswatch_logs.result import Columns, Doubt, UnreadableLogError
from losswatch_logs.table import Table

MAX_METRICS = 64
_SEPARATE = 4
"""Scores that lie so close are a choice to be doubted."""
_ROUNDED = 5e-3
"""So far a printed total may lie from the sum of its printed terms."""
_PREFERENCE_PAIRS = frozenset(("chosen", "rejected", "margins", "margin"))


_EXPLORATION = frozenset(("epsilon", "eps", "\u03b5", "exploration"))


class Roles(NamedTuple):
    """Which columns are read as what. Loss and validation loss may be the sum of several columns (YOLO)."""

    counters: Tuple[str, ...]
    epoch: Optional[str]
    learning_rate: Optional[str]
    grad_norm: Optional[str]
    loss: Tuple[str, ...]
    validation_loss: Tuple[str, ...]
    metrics: Tuple[str, ...]
    left_out: int
    maximized: bool
    objective: Optional[str]
    loss_name: Optional[str]
    doubts: Tuple[Doubt, ...]


class _Candidate(NamedTuple):
    name: str
    means: Meaning
    score: int
    values: int


def choose(table: Table, asked: Columns) -> Roles:
    """The role of each column. Raises UnreadableLogError where a column that was asked for is not there."""
    counts = table.counts()
    said = {name: meaning(table.spelled(name)) for name, count in counts.items() if count}
    doubts: List[Doubt] = []
    for name, means in said.items():
        if means.score == BARE and name not in asked and _are_whole(table, name):
            said[name] = Meaning("metric", split=means.split)  # how many samples a set has of each kind
    if not any(means.kind == "loss" and not means.held_out for means in said.values()):
        for name in _numbered_sets(said, table):
            said[name] = said[name]._replace(split="train")
            doubts.append(Doubt(f"{table.spelled(name)!r} was taken for the training data, as the first of two sets"))
    named = {role: _asked(table, counts, name, role) for role, name in asked._asdict().items()}
    theirs = {name for names in named.values() for name in names}
    free = {name: means for name, means in said.items() if name not in theirs}
    losses = _candidates(free, counts, lambda means: means.kind == "loss" and not means.held_out)
    held_out = _candidates(free, counts, lambda means: means.kind == "loss" and means.held_out)
    if not losses and not held_out and {"wall_time", "value"} <= {plain(name) for name in counts}:
        value = next(name for name in counts if plain(name) == "value")
        losses = [_Candidate(value, Meaning("loss"), 50, counts[value])]  # TensorBoard's download of one scalar
        said[value] = losses[0].means
    loss = named["loss"] or _chosen(table, losses, doubts, "loss")
    if asked.loss is None:
        loss = _not_finite(table, loss, losses, doubts)
    if loss and loss[0] not in said:
        said[loss[0]] = Meaning("loss")
    validation = named["validation"] or _validation(table, held_out, loss, said, doubts)
    if validation and validation[0] not in said:
        said[validation[0]] = Meaning("loss", split="val")
    grad_norm = named["gradient_norm"] or _best(free, counts, "grad_norm")
    learning_rate = named["learning_rate"] or _best(free, counts, "learning_rate")
    epoch = named["epoch"] or _best(free, counts, "epoch")
    counters = named["step"] or tuple(
        candidate.name for candidate in _candidates(free, counts, lambda means: means.kind in ("step", "batch"))
    )
    taken = {*counters, *learning_rate[:1], *grad_norm[:1], *epoch[:1]}
    taken |= set(loss) if len(loss) == 1 else set()
    taken |= set(validation) if len(validation) == 1 else set()
    rest = [name for name in said if name not in taken and not said[name].counts and said[name].kind != "nothing"]
    return Roles(
        counters,
        epoch[0] if epoch else None,
        learning_rate[0] if learning_rate else None,
        grad_norm[0] if grad_norm else None,
        loss,
        validation,
        tuple(rest[:MAX_METRICS]),
        max(0, len(rest) - MAX_METRICS),
        bool(loss or validation) and not said[(loss or validation)[0]].minimize,
        _objective(table, said, loss),
        _loss_name(table, loss),
        tuple(doubts),
    )


def _asked(table: Table, counts: Dict[str, int], name: Optional[str], role: str) -> Tuple[str, ...]:
    if name is None:
        return ()
    for found in counts:
        if name in (found, table.spelled(found)):
            return (found,)
    for found in counts:
        if plain(name) in (plain(found), plain(table.spelled(found))):
            return (found,)
    names = ", ".join(repr(table.spelled(found)) for found in list(counts)[:20])
    raise UnreadableLogError(f"{role}_column names {name[:80]!r}, which is no column of this log; there are: {names}.")


def _candidates(
    said: Dict[str, Meaning], counts: Dict[str, int], wanted: Callable[[Meaning], bool]
) -> List[_Candidate]:
    """The columns that may have a role, best first; a column far sparser than the fullest loses score."""
    fitting = [name for name, means in said.items() if wanted(means)]
    most = max((counts[name] for name in fitting if said[name].score >= 50), default=0)
    ranked = [
        _Candidate(name, said[name], said[name].score - _sparse(counts[name], most), counts[name]) for name in fitting
    ]
    return sorted(ranked, key=lambda candidate: -candidate.score)


def _sparse(count: int, most: int) -> int:
    """What a column loses that has fewer values than another loss: a figure per epoch, an estimate, a last word."""
    return 25 if count * 4 < most else 8 if count * 10 < 7 * most else 0


def _numbered_sets(said: Dict[str, Meaning], table: Table) -> List[str]:
    """XGBoost's ``validation_0-…`` where there is a ``validation_1-…`` too: by custom the first is training data."""
    names = [name for name, means in said.items() if means.kind == "loss" and means.held_out]
    spelled = {table.spelled(name): name for name in names}
    return [name for text, name in spelled.items() if "_0" in text and text.replace("_0", "_1", 1) in spelled]


def _best(said: Dict[str, Meaning], counts: Dict[str, int], kind: str) -> Tuple[str, ...]:
    return tuple(each.name for each in _candidates(said, counts, lambda means: means.kind == kind)[:1])


def _chosen(table: Table, ranked: Sequence[_Candidate], doubts: List[Doubt], role: str) -> Tuple[str, ...]:
    if not ranked:
        return ()
    best = ranked[0]
    if best.means.part:
        whole = _whole(table, ranked)
        if whole is not None:
            return (whole.name,)
        parts = _parts(ranked)
        if len(parts) > 1:
            return parts
        others = [each for each in ranked[1:] if each.score >= best.score - 10 and not _same_values(table, best, each)]
        if others and best.means.family not in ("gan", "rl"):
            doubts.append(_doubt(table, best, others, serious=True, role=role))
    else:
        others = [
            each
            for each in ranked[1:]
            if each.score >= best.score - _SEPARATE
            and not each.means.part
            and each.values * 2 >= best.values
            and not set(words(table.spelled(best.name))) & (w.TOTAL | w.TRAINING)
            and not _same_values(table, best, each)
        ]
        if others:
            doubts.append(_doubt(table, best, others, serious=best.score < 60, role=role))
    return (best.name,)


def _not_finite(
    table: Table, loss: Tuple[str, ...], ranked: Sequence[_Candidate], doubts: List[Doubt]
) -> Tuple[str, ...]:
    """Another loss that ends not finite, where the one that was chosen does not: of adversaries that one is read."""
    if len(loss) != 1 or _ends_not_finite(table, loss[0]):
        return loss
    for each in ranked:
        if each.name == loss[0] or not _ends_not_finite(table, each.name):
            continue
        other = table.spelled(each.name)
        if each.means.family in ("gan", "rl"):
            return (each.name,)
        doubts.append(
            Doubt(f"{other!r} is not finite at last, {table.spelled(loss[0])!r} is", True, f"loss_column={other}")
        )
        break
    return loss


def _ends_not_finite(table: Table, name: str) -> bool:
    last = next((row[name] for row in reversed(table.rows) if name in row), None)
    return last is not None and not math.isfinite(last)


def _doubt(table: Table, best: _Candidate, others: Sequence[_Candidate], *, serious: bool, role: str) -> Doubt:
    names = ", ".join(repr(table.spelled(each.name)) for each in others[:4])
    sentence = f"{table.spelled(best.name)!r} was read as the {role}; {names} could be it as well"
    return Doubt(sentence, serious, f"loss_column={table.spelled(others[0].name)}" if serious else "")


def _parts(ranked: Sequence[_Candidate]) -> Tuple[str, ...]:
    """The terms of one sum: box, cls and dfl of a detector; or train/a_loss, train/b_loss of one writer."""
    best = ranked[0]
    alike = [
        each for each in ranked if each.means.part and each.values == best.values and each.score >= best.score - 10
    ]
    if best.means.family == "detection":
        return tuple(each.name for each in alike if each.means.family == "detection")
    prefixes = {each.name.rsplit("/", 1)[0] for each in alike if "/" in each.name}
    if len(prefixes) == 1 and all("/" in each.name and not each.means.family for each in alike):
        return tuple(each.name for each in alike)
    return ()


def _are_whole(table: Table, name: str) -> bool:
    """Whether every value of a column, three or more, is a whole number, and some is more than 1."""
    values = [row[name] or 0.0 for row in table.rows if name in row]
    return len(values) >= 3 and all(value == value // 1 for value in values) and max(values) > 1


def _whole(table: Table, ranked: Sequence[_Candidate]) -> Optional[_Candidate]:
    """The column that is the sum of the others in nearly every row that has three or more of them."""
    if len(ranked) < 3:
        return None
    names = [each.name for each in ranked]
    sums: Dict[str, int] = {}
    rows = 0
    for row in table.rows[:2000]:
        there = {name: value for name in names if (value := row.get(name)) is not None and math.isfinite(value)}
        if len(there) < 3:
            continue
        rows += 1
        total = sum(there.values())
        for name, value in there.items():
            if abs(total - 2 * value) <= _ROUNDED * abs(value):
                sums[name] = sums.get(name, 0) + 1
    name = max(sums, key=lambda each: sums[each], default="")
    return next((each for each in ranked if each.name == name and sums[name] * 10 >= 9 * rows >= 90), None)


def _same_values(table: Table, one: _Candidate, other: _Candidate) -> bool:
    both = [(row[one.name], row[other.name]) for row in table.rows[:2000] if one.name in row and other.name in row]
    near = sum(
        left == right or (left is not None and right is not None and abs(left - right) <= 0.02 * abs(left))
        for left, right in both
    )
    return bool(both) and near * 10 >= 9 * len(both)


def _validation(
    table: Table, ranked: Sequence[_Candidate], loss: Tuple[str, ...], said: Dict[str, Meaning], doubts: List[Doubt]
) -> Tuple[str, ...]:
    """The held-out loss that is named most like the training loss; a validation set before a test set."""
    bare = sum(means.score == BARE for means in said.values())
    if loss and said[loss[0]].score != BARE and bare > 1:
        ranked = [
            each for each in ranked if each.means.score != BARE
        ]  # "Loss: 0.5, Train: 0.9, Val: 0.8" tells of accuracies
    if not ranked:
        return ()
    wanted = _bare_words(table.spelled(loss[0])) if loss else frozenset()
    scored = [
        each._replace(
            score=each.score
            + 3 * (each.means.split == "val")
            + (15 if _bare_words(table.spelled(each.name)) == wanted else 0)
        )
        for each in ranked
    ]
    scored.sort(key=lambda each: -each.score)
    if len(loss) > 1 or (scored[0].means.part and not wanted - {"loss"}):
        parts = _parts(ranked)
        if len(parts) > 1:
            return parts
    if loss and loss[0] in said and said[loss[0]].minimize != scored[0].means.minimize:
        return ()
    return (scored[0].name,)


def _bare_words(name: str) -> frozenset[str]:
    return frozenset(words(name)) - w.TRAINING - w.HELD_OUT - w.SUMMARY - {"step", "0"}


def _objective(table: Table, said: Dict[str, Meaning], loss: Tuple[str, ...]) -> Optional[str]:
    """ "none" where the losses of a GAN or of reinforcement learning are driven up and down by turns."""
    if any(set(words(table.spelled(name))) & _PREFERENCE_PAIRS for name in said):
        return None
    families = [means.family for means in said.values() if means.kind == "loss" and not means.held_out]
    adversaries = {word for name, means in said.items() if means.family == "gan" for word in words(table.spelled(name))}
    if adversaries & {"d", "disc", "discriminator", "dis", "netd", "critic"} and adversaries & {
        "g", "gan", "gen", "generator", "netg", "adv", "cycle",
    }:  # fmt: skip
        return "none"
    explored = any({*words(table.spelled(name)), plain(name)} & _EXPLORATION for name in said)
    if explored and any("episode" in words(table.spelled(name)) for name in said):
        return "none"
    rewarded = any(means.family == "rl" and not means.minimize for means in said.values())
    return "none" if rewarded or families.count("rl") >= 2 or (loss and said[loss[0]].family in ("rl", "gan")) else None


def _loss_name(table: Table, loss: Tuple[str, ...]) -> Optional[str]:
    if len(loss) != 1:
        return None
    found = set(words(table.spelled(loss[0])))
    if "nll" in found and any((row.get(loss[0]) or 0.0) < 0 for row in table.rows):
        return None  # of a density: no cross-entropy is below 0
    if {"cross", "entropy"} <= found or found & {"xent", "ce", "crossentropy", "nll"}:
        return "cross_entropy"
    if found & {"mse"} or {"squared", "error"} <= found:
        return "mse"
    return "perplexity" if found & w.PERPLEXITY else None
