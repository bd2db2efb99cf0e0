"""Points as blocks that another process packed: columns are made of them only where somebody looks at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, overload

from losswatch_server.codec.blocks import count, pack, unpack
from losswatch_server.codec.bodies import LEAST_COLUMNS, Body, read_body
from losswatch_server.monitor.batch import Batch
from losswatch_server.monitor.points import Point

BLOCK = 1000
"""Most points in one block, and in one row of a record: a look-up never unpacks more than this for one point."""


class PackedBatch(Batch):
    """A batch in blocks of ``BLOCK`` points, the last one of fewer. What a request that goes on with its run must know
    of all points (``is_of_rank_0``, ``ascends``, the first and the last) is known without unpacking one."""

    __slots__ = ("_ascends", "_count", "_first", "_last", "_of_rank_0", "blocks")

    def __init__(
        self, blocks: tuple[bytes, ...], *, first: Point, last: Point, of_rank_0: int, ascends: bool, count: int
    ) -> None:
        self.blocks = blocks
        self._first, self._last = first, last
        self._of_rank_0, self._ascends, self._count = of_rank_0, ascends, count

    @classmethod
    def packed(cls, points: Batch) -> PackedBatch:
        """The blocks of some points (at least one)."""
        blocks = tuple(pack(points[start : start + BLOCK]) for start in range(0, len(points), BLOCK))
        ends = {"first": points[0], "last": points[-1]}
        return cls(blocks, **ends, of_rank_0=points.of_rank_0, ascends=points.ascends, count=len(points))

    def __reduce__(self) -> tuple[Callable[..., PackedBatch], tuple[Any, ...]]:
        return _made, (self.blocks, self._first, self._last, self._of_rank_0, self._ascends, self._count)

    def __getattr__(self, name: str) -> Any:
        if name != "columns":
            raise AttributeError(name)
        self.columns = Batch.joined(map(unpack, self.blocks)).columns
        return self.columns

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> Point: ...
    @overload
    def __getitem__(self, place: slice) -> Batch: ...
    def __getitem__(self, place: int | slice) -> Point | Batch:
        if isinstance(place, slice):
            begun, past, stride = place.indices(self._count)
            if stride != 1 or begun >= past:
                return super().__getitem__(place)
            some = self.blocks[begun // BLOCK : (past - 1) // BLOCK + 1]
            begun, past = begun % BLOCK, past - begun // BLOCK * BLOCK
            here = Batch.of(unpack(some[0])) if len(some) == 1 else Batch.joined(map(unpack, some))
            return here if past - begun == len(here) else here[begun:past]
        if place in (0, -self._count):
            return self._first
        if place in (-1, self._count - 1):
            return self._last
        return super().__getitem__(place)

    def __iter__(self) -> Iterator[Point]:
        return chain.from_iterable(map(unpack, self.blocks))

    @property
    def of_rank_0(self) -> int:
        """How many points are."""
        return self._of_rank_0

    @property
    def is_of_rank_0(self) -> bool:
        """Whether every point is."""
        return self._of_rank_0 == self._count

    @property
    def ascends(self) -> bool:
        """Whether each step is above the one before."""
        return self._ascends


def _made(
    blocks: tuple[bytes, ...], first: Point, last: Point, of_rank_0: int, ascends: bool, count: int
) -> PackedBatch:
    return PackedBatch(blocks, first=first, last=last, of_rank_0=of_rank_0, ascends=ascends, count=count)


def packed_body(raw: bytes) -> Body:
    """``read_body``, with many points packed: for another process to read, and to hand over."""
    body = read_body(raw)
    if len(body.points) < LEAST_COLUMNS:
        return body
    return replace(body, points=PackedBatch.packed(Batch.of(body.points)))


def blocks_of(points: Sequence[Point]) -> Iterator[tuple[int, int, int, bytes]]:
    """The blocks of some points: of each how many points it has, its first and last step, and its bytes."""
    if isinstance(points, PackedBatch):
        for block in points.blocks:
            steps = Batch.of(unpack(block)).steps
            yield count(block), steps[0], steps[-1], block
        return
    for start in range(0, len(points), BLOCK):
        some = points[start : start + BLOCK]
        yield len(some), some[0].step, some[-1].step, pack(some)
