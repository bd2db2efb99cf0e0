"""What a table of a run has columns for, and how far each rank has come: kept beside the summaries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from losswatch_server.monitor.batch import Batch
from losswatch_server.monitor.entries import WITHOUT_POINT, Entry, EntryKind, NewPoints
from losswatch_server.monitor.points import SERIES, Point
from losswatch_server.store.cuts import Cuts


class Tail(NamedTuple):
    """The last step of a rank, and the place in the record from which that is known."""

    step: int
    seq: int

    def after(self, cuts: Cuts) -> int:
        """The last step of the rank under all attempts: one that began since took back what lies past it."""
        return min(self.step, cuts.at(self.seq) - 1)


def column_names(entries: Iterable[Entry]) -> set[str]:
    """The names under which a table shows what these entries measure; layers as ``layers.NAME``, metrics likewise."""
    points: Sequence[Point]
    if isinstance(entries, NewPoints):
        points = entries.points
    else:
        points = [entry.point for entry in entries if entry.kind not in WITHOUT_POINT]
    names: set[str] = set()
    if len(points) > 0:
        columns = Batch.of(points).columns
        for name, column in zip((*SERIES, "time"), columns[1:7], strict=True):
            if column.count(None) < len(column):
                names.add(name)
        if any(columns[9]):
            names.add("rank")
        if any(columns[10]):
            names.add("loss")
        for prefix, column in (("layers", columns[7]), ("metrics", columns[8])):
            for keys in {tuple(named) for named in column if named}:
                names.update(f"{prefix}.{key}" for key in keys)
    return names


def rank_tails(entries: Iterable[Entry], known: Mapping[int, Tail], cuts: Cuts) -> dict[int, Tail]:
    """The tails of the ranks (other than 0) that further entries say something about."""
    tails: dict[int, Tail] = {}
    for entry in () if isinstance(entries, NewPoints) else entries:
        rank = entry.point.rank
        if rank and entry.kind in (EntryKind.OTHER_RANKS, EntryKind.LATE):
            before = tails.get(rank) or known.get(rank)
            step = -1 if before is None else min(before.step, cuts.until(before.seq, entry.seq) - 1)
            tails[rank] = Tail(max(step, entry.point.step), entry.seq)
    return tails
