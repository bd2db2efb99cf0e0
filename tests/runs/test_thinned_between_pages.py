"""Whoever reads a run in several reads gets what it was or what it is, where the run is thinned between two of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from house import House
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.vocabulary import RunState
from losswatch_server.runs import RunNotFoundError, Runs, walk
from losswatch_server.runs.retention import Retention
from losswatch_server.store.retention import Policy, StoredRetention

if TYPE_CHECKING:
    from postgres import PostgresServer

POINTS = 1500
PER_PAGE = 90
POLICY = Policy(thin_after_days=1, thin_to_points=60)


class Between:
    """A store of which each read is one small page; after one of them something happens."""

    def __init__(self, store: Any, after: int, happens: Callable[[], Any]) -> None:
        self._store = store
        self._left = after
        self._happens = happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def record_page(self, project: str, uid: str, first_seq: int, max_points: int) -> Any:
        rows = await self._store.record_page(project, uid, first_seq, min(max_points, PER_PAGE))
        await self._then()
        return rows

    async def next_window(self, *arguments: Any) -> Any:
        window = await self._store.next_window(*arguments[:-1], min(arguments[-1], PER_PAGE))
        await self._then()
        return window

    async def _then(self) -> None:
        self._left -= 1
        if self._left == 0:
            await self._happens()


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """With the run ``run``, that is over: three attempts, a spike."""
    place: Path | str = tmp_path / "data"
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        place = server.url()
    house = House(place)
    for first, past, writer in ((0, 900, "first"), (600, 1200, "second"), (900, POINTS, "third")):
        for start in range(first, past, 50):
            steps = range(start, start + 50)
            losses = [9.0 if 1300 <= step < 1303 else 1.0 / (1 + step) + 0.3 + step % 7 / 1000 for step in steps]
            points = [Point(step, loss=loss) for step, loss in zip(steps, losses, strict=True)]
            house.record(points, Context(group="sweep"), writer)
    house.do(house.runs.finish("default", "run", RunState.FINISHED))
    house.do(house.runs.close())
    house.now += 100 * 86_400
    yield house
    house.close()


def disturbed(house: House, after: int, happens: Callable[[], Any]) -> Runs:
    return Runs(Between(house.store, after, happens), lambda: house.now)  # type: ignore[arg-type]


async def thin(house: House) -> None:
    thinner = Retention(house.runs, house.store, StoredRetention(house.store), POLICY, clock=lambda: house.now)
    await thinner.apply("default", POLICY)
    assert thinner.counts["thinned"] == 1


async def explained(runs: Runs) -> Any:
    found = await runs.findings("default", "run")
    return await runs.explain("default", "run", next(one.finding.id for one in found if one.finding.attempt == 3))


async def all_points(runs: Runs) -> Any:
    return await runs.points("default", "run")


async def drawn(runs: Runs) -> Any:
    return await runs.points("default", "run", resolution=50)


async def compared(runs: Runs) -> Any:
    return await runs.siblings("default", "run")


@pytest.mark.slow
@pytest.mark.parametrize("read", [explained, all_points, drawn, compared])
@pytest.mark.parametrize("after", [1, 3])
def test_an_answer_is_of_the_run_as_it_is_when_it_was_thinned_meanwhile(house: House, read: Any, after: int) -> None:
    found = house.do(read(disturbed(house, after, lambda: thin(house))))
    assert house.sql("SELECT count(*) FROM thinned") == [(1,)]
    assert repr(found) == repr(house.do(read(Runs(house.store, lambda: house.now))))


async def streamed(runs: Runs) -> list[Any]:
    return [stored async for some in await runs.series("default", "run") for stored in some]


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 3, 9])
def test_a_stream_goes_on_with_what_is_left(house: House, after: int) -> None:
    before = house.do(streamed(Runs(house.store, lambda: house.now)))
    found = house.do(streamed(disturbed(house, after, lambda: thin(house))))
    left = house.do(streamed(Runs(house.store, lambda: house.now)))
    assert len(left) < len(found) + (after == 1) <= len(before)
    places = [walk.Place.of(stored) for stored in found]
    assert places == sorted(set(places)), "each once, in order"
    whole = {repr(stored) for stored in before}
    assert {repr(stored) for stored in found} <= whole, "each as it was"
    assert {repr(stored) for stored in left} <= {repr(stored) for stored in found}, "nothing is left out"


@pytest.mark.slow
def test_a_stream_of_a_run_that_is_deleted_does_not_end_as_if_it_were_whole(house: House) -> None:
    async def delete() -> None:
        await house.runs.delete("default", "run")

    with pytest.raises(RunNotFoundError):
        house.do(streamed(disturbed(house, 3, delete)))
