"""Summaries of a record: what a chart and a look-up need to know of a stretch of it, in a few hundred bytes.

A leaf sums up about a thousand entries, a node above it FANOUT nodes below: so the summaries of a run form a tree by
place in the record, and whoever looks for a step, or draws the whole run, opens a handful of nodes however long the
run is. Entries never change and are only appended, so a summary holds for good.

A summary says which steps its entries are at (``zones``; an attempt is at the step it begins with), which kinds there
are (``kinds``), and keeps in each of its buckets the first and the last entry, the lowest and the highest step and
value of every series, and the entries with a number that is not finite: all of them, but of an unbroken row of more
than 2 * RUN_ENDS the first and last RUN_ENDS alone, and in a bucket at most ``most_not_finite(level)``. Only the first
entry of a bucket and those that are not finite keep their layers and metrics: a layer's norm at every extreme would
make the summaries as large as the record.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from losswatch_server.codec import damage
from losswatch_server.codec.blocks import pack, unpack
from losswatch_server.codec.damage import MISSHAPEN
from losswatch_server.monitor.entries import WITHOUT_POINT, Entry, EntryKind, NewPoints
from losswatch_server.monitor.points import SERIES, Point, merge

LEAF = 1024
"""Entries in a leaf, at least: so many are unpacked to look one up. A full sealed block (about 1260) is one leaf."""
FANOUT = 4
"""Nodes below a node, and buckets in it: one for each of them."""
ZONES = 8
"""Most ranges of steps that a summary keeps; what comes late to an old step does not blur where the others are."""
RUN_ENDS = 4
"""Entries kept at each end of an unbroken row of entries that are not finite."""
SMALLEST_BUCKET = 64
FORMAT = 1

Zone = tuple[int, int]

_Floats = npt.NDArray[np.float64]
_Marks = npt.NDArray[np.bool_]
_NOTHING, _NONE = np.empty(0), np.empty(0, dtype=np.bool_)
_HEAD = struct.Struct("<BBI")
_NOT_FINITE, _GOES_ON = 1, 2


class Kept(NamedTuple):
    """An entry of a bucket. ``goes_on``: not finite, like all entries from the kept one before it up to this one."""

    entry: Entry
    not_finite: bool = False
    goes_on: bool = False


Bucket = Sequence[Kept]
"""By place in the record."""


class Summary(NamedTuple):
    """What is known of the entries from ``seq`` up to, not including, ``past``; ``n`` of them have points."""

    level: int
    seq: int
    past: int
    n: int
    kinds: int
    zones: tuple[Zone, ...]
    body: bytes = b""

    def touches(self, low: int, high: int) -> bool:
        """Whether some of its points may be at steps from ``low`` to ``high``."""
        return any(zone[0] <= high and zone[1] >= low for zone in self.zones)

    def within(self, low: int, high: int) -> bool:
        """Whether all of its points are at steps from ``low`` to ``high``."""
        return all(low <= zone[0] and zone[1] <= high for zone in self.zones)

    def has(self, kind: EntryKind) -> bool:
        """Whether an entry of this kind may be among its entries."""
        return bool(self.kinds >> kind & 1)


def most_not_finite(level: int) -> int:
    """Most entries with numbers that are not finite that a bucket keeps: the higher, the more, so that single ones
    are still all there in the picture of a long run."""
    return min(32 << level, 2048)


def leaf(entries: Sequence[Entry]) -> Summary:
    """The summary of consecutive entries (at least one)."""
    alone = isinstance(entries, NewPoints)
    kinds = 1 << EntryKind.POINTS if alone else 0
    for kind in () if alone else {entry.kind for entry in entries}:
        kinds |= 1 << kind
    together = laid_together(entries)
    buckets = min(FANOUT, max(1, len(together) // SMALLEST_BUCKET))
    cuts = [len(together) * place // buckets for place in range(buckets + 1)]
    return Summary(
        level=0,
        seq=entries[0].seq,
        past=entries[-1].seq + 1,
        n=len(entries) if alone else sum(entry.kind not in WITHOUT_POINT for entry in entries),
        kinds=kinds,
        zones=zones_of(_steps_of(entries)),
        body=_to_bytes([bucket(together[a:b], most_not_finite(0)) for a, b in pairwise(cuts)]),
    )


def _steps_of(entries: Sequence[Entry]) -> Sequence[int]:
    if isinstance(entries, NewPoints):
        return entries.points.steps
    return [entry.point.step for entry in entries if entry.kind != EntryKind.CONTEXT]


def above(below: Sequence[Summary]) -> Summary:
    """The summary of FANOUT consecutive summaries of one level."""
    level = below[0].level + 1
    kinds = 0
    for node in below:
        kinds |= node.kinds
    most = most_not_finite(level)
    return Summary(
        level=level,
        seq=below[0].seq,
        past=below[-1].past,
        n=sum(node.n for node in below),
        kinds=kinds,
        zones=joined(zone for node in below for zone in node.zones),
        body=_to_bytes([_merged(buckets(node), most) for node in below]),
    )


def laid_together(entries: Sequence[Entry]) -> Sequence[Entry]:
    """The entries with points in their order, what later ones add to a step laid into the first one about it."""
    if isinstance(entries, NewPoints) or all(entry.kind == EntryKind.POINTS for entry in entries):
        return entries
    found: dict[tuple[int, int], Entry] = {}
    done: list[Entry] = []
    for entry in entries:
        if entry.kind == EntryKind.ATTEMPT:
            done += found.values()
            found = {}
        elif entry.kind == EntryKind.SUPERSEDED_BY_WRITER:
            done.append(entry)
        elif entry.kind != EntryKind.CONTEXT:
            key = (entry.point.step, entry.point.rank)
            known = found.get(key)
            found[key] = entry if known is None else known._replace(point=merge(known.point, entry.point))
    done += found.values()
    return sorted(done, key=lambda entry: entry.seq)


def is_finite(point: Point) -> bool:
    """Whether every number of the point is finite; a loss that was sent as null is not."""
    named = (*(point.layers or {}).values(), *(point.metrics or {}).values())
    return not point.loss_is_null and all(
        value is None or math.isfinite(value) for value in (*_series_of(point), *named)
    )


def _series_of(point: Point) -> tuple[float | None, ...]:
    return point.loss, point.grad_norm, point.learning_rate, point.validation_loss, point.epoch


def bucket(entries: Sequence[Entry], most: int) -> Bucket:
    """Of entries in their order those that a picture of them needs."""
    if not entries:
        return ()
    columns = _Columns(entries)
    wrong = columns.not_finite()
    goes_on = [mark and before for mark, before in zip(wrong, [False, *wrong], strict=False)]
    return _picked(entries, columns, wrong, goes_on, most)


def _merged(parts: Iterable[Bucket], most: int) -> Bucket:
    kept: list[Kept] = []
    for part in parts:
        if kept and part and kept[-1].not_finite and part[0].not_finite:  # a bucket's ends are always kept
            part = [part[0]._replace(goes_on=True), *part[1:]]
        kept += part
    if not kept:
        return ()
    entries = [one.entry for one in kept]
    wrong = [one.not_finite for one in kept]
    return _picked(entries, _Columns(entries), wrong, [one.goes_on for one in kept], most)


class _Columns:
    """The series of entries as arrays: a thousand entries at a time are looked through in a few microseconds each."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.n = len(entries)
        self._fields: Sequence[Sequence[Any]]
        if isinstance(entries, NewPoints):
            self._fields = entries.points.columns
            self.by_earlier_writer = np.zeros(self.n, dtype=np.bool_)
        else:
            self._fields = list(zip(*[entry.point for entry in entries], strict=True))
            self.by_earlier_writer = np.array([entry.kind == EntryKind.SUPERSEDED_BY_WRITER for entry in entries])
        self._series: list[tuple[_Floats, _Marks]] = []
        for column in self._fields[1 : 1 + len(SERIES)]:
            if column.count(None) < self.n:
                values = np.array(column, dtype=np.float64)  # None becomes NaN
                self._series.append((values, np.isfinite(values)))
            else:
                self._series.append((_NOTHING, _NONE))

    def not_finite(self) -> list[bool]:
        """Which entries have a number that is not finite, or a loss that was sent as null."""
        wrong = np.array(self._fields[10], dtype=np.bool_)
        for column, (values, finite) in zip(self._fields[1:], self._series, strict=False):
            if len(values) and not finite.all():
                wrong |= ~finite & np.array([value is not None for value in column])
        marks: list[bool] = wrong.tolist()
        for column in self._fields[7:9]:
            for n, named in enumerate(column):
                if named and not math.isfinite(sum(named.values())) and not all(map(math.isfinite, named.values())):
                    marks[n] = True
        return marks

    def extremes(self) -> Iterator[int]:
        """Where the steps and each series are lowest and highest, apart for what an earlier writer sent: that is never
        judged, and must not hide what is.

        The steps, because what comes late to an old step may be the last entry, and a curve must reach its end.
        """
        earlier = self.by_earlier_writer
        classes = [~earlier, earlier] if earlier.any() else [np.ones(self.n, dtype=np.bool_)]
        steps = np.array(self._fields[0], dtype=np.float64)
        for values, finite in ((steps, np.ones(self.n, dtype=np.bool_)), *self._series):
            if len(values):
                for those in classes:
                    here = finite & those
                    if here.any():
                        yield int(np.where(here, values, np.inf).argmin())
                        yield int(np.where(here, values, -np.inf).argmax())


def _picked(
    entries: Sequence[Entry], columns: _Columns, wrong: Sequence[bool], goes_on: Sequence[bool], most: int
) -> Bucket:
    wanted = sorted({0, len(entries) - 1, *columns.extremes(), *_not_finite(wrong, goes_on, most)})
    picked: list[Kept] = []
    before = -1
    for n in wanted:
        entry = entries[n]
        point = entry.point
        if n and not wrong[n] and (point.layers is not None or point.metrics is not None):
            entry = entry._replace(point=point._replace(layers=None, metrics=None))
        picked.append(Kept(entry, wrong[n], n > 0 and wrong[n] and all(goes_on[before + 1 : n + 1])))
        before = n
    return picked


def _not_finite(wrong: Sequence[bool], goes_on: Sequence[bool], most: int) -> list[int]:
    """Which of the entries that are not finite stay: see the module."""
    if True not in wrong:
        return []
    rows: list[list[int]] = []
    for n, mark in enumerate(wrong):
        if mark:
            if goes_on[n] and rows:
                rows[-1].append(n)
            else:
                rows.append([n])
    places = [n for row in rows for n in (row if len(row) <= 2 * RUN_ENDS else row[:RUN_ENDS] + row[-RUN_ENDS:])]
    if len(places) > most:
        places = [places[n * (len(places) - 1) // (most - 1)] for n in range(most)]
    return places


def zones_of(steps: Sequence[int]) -> tuple[Zone, ...]:
    """Ranges that hold all the steps, split where wide gaps are."""
    distinct = set(steps)
    if not distinct:
        return ()
    low, high = min(distinct), max(distinct)
    return ((low, high),) if high - low < len(distinct) else joined((step, step) for step in distinct)


def joined(zones: Iterable[Zone]) -> tuple[Zone, ...]:
    """At most ZONES ranges that hold all those given, split at the widest gaps."""
    ordered = sorted(zones)
    if not ordered:
        return ()
    high = max(zone[1] for zone in ordered)
    least = (high - ordered[0][0]) // (2 * ZONES)
    gaps: list[tuple[int, int, int]] = []
    reach = ordered[0][1]
    for low, top in ordered[1:]:
        if low - reach > max(1, least):
            gaps.append((low - reach, reach, low))
        reach = max(reach, top)
    widest = sorted(sorted(gaps, reverse=True)[: ZONES - 1], key=lambda gap: gap[1])
    starts = [ordered[0][0], *(gap[2] for gap in widest)]
    ends = [*(gap[1] for gap in widest), high]
    return tuple(zip(starts, ends, strict=True))


def zones_to_bytes(zones: Sequence[Zone]) -> bytes:
    """First and last step of each."""
    return struct.pack(f"<{2 * len(zones)}q", *(step for zone in zones for step in zone))


def zones_from_bytes(data: bytes) -> tuple[Zone, ...]:
    """The inverse of ``zones_to_bytes``."""
    steps = struct.unpack(f"<{len(data) // 8}q", data)
    return tuple(zip(steps[::2], steps[1::2], strict=True))


def _to_bytes(parts: Sequence[Bucket]) -> bytes:
    """Number of entries in each bucket, then per entry its place, attempt, kind and marks, then the points."""
    kept = [one for part in parts for one in part]
    count = len(kept)
    if not count:
        return b""
    columns = b"".join(
        (
            struct.pack(f"<{len(parts)}I", *map(len, parts)),
            struct.pack(f"<{count}q", *(one.entry.seq for one in kept)),
            struct.pack(f"<{count}i", *(one.entry.attempt for one in kept)),
            bytes(one.entry.kind for one in kept),
            bytes(_NOT_FINITE * one.not_finite | _GOES_ON * one.goes_on for one in kept),
            pack([one.entry.point for one in kept]),
        )
    )
    return _HEAD.pack(FORMAT, len(parts), count) + zlib.compress(columns, 1)


def buckets(summary: Summary) -> list[Bucket]:
    """The buckets of a summary; none where its body is damaged, so that a picture lacks what it held."""
    try:
        return _buckets(summary)
    except MISSHAPEN as error:
        damage.note("summary", (summary.level, summary.seq, summary.past, len(summary.body)), error)
        return []


def _buckets(summary: Summary) -> list[Bucket]:
    body = summary.body
    if not body:
        return []
    version, parts, count = _HEAD.unpack_from(body)
    if version != FORMAT:
        raise ValueError(f"a summary of format {version}; this version reads format {FORMAT}")
    columns = zlib.decompress(memoryview(body)[_HEAD.size :])
    sizes = struct.unpack_from(f"<{parts}I", columns)
    offset = 4 * parts
    seqs = struct.unpack_from(f"<{count}q", columns, offset)
    attempts = struct.unpack_from(f"<{count}i", columns, offset + 8 * count)
    offset += 12 * count
    kinds, marks = columns[offset : offset + count], columns[offset + count : offset + 2 * count]
    points = unpack(columns[offset + 2 * count :])
    kept = [
        Kept(Entry(seq, _KINDS[kind], attempt, point), bool(mark & _NOT_FINITE), bool(mark & _GOES_ON))
        for seq, kind, attempt, point, mark in zip(seqs, kinds, attempts, points, marks, strict=True)
    ]
    result: list[Bucket] = []
    start = 0
    for size in sizes:
        result.append(kept[start : start + size])
        start += size
    return result


_KINDS: Mapping[int, EntryKind] = {kind.value: kind for kind in EntryKind}
