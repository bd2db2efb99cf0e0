"""What is long of judging, sealing, reading and explaining a run is done in another process, and comes out the same."""

from __future__ import annotations

import asyncio
import csv
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from house import House
from losswatch_server import codec
from losswatch_server.codec import blocks
from losswatch_server.codec.packed import packed_body
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.replay import Probe
from losswatch_server.monitor.snapshot import freeze
from losswatch_server.runs import explaining, fold, series
from losswatch_server.runs.series import WholeSeries
from losswatch_server.runs.walk import Passage
from losswatch_server.store import beside, sealing, summary_tree
from losswatch_server.workers import Elsewhere, Workers

pytestmark = pytest.mark.slow
COUNT = 10_000


@pytest.fixture(scope="module")
def workers() -> Iterator[tuple[asyncio.Runner, Workers]]:
    with asyncio.Runner() as runner:
        workers = Workers()
        yield runner, workers
        runner.run(workers.close())


@pytest.fixture
def elsewhere(tmp_path: Path, workers: tuple[asyncio.Runner, Workers]) -> Iterator[House]:
    house = House(tmp_path / "elsewhere", elsewhere=Elsewhere(workers[1], 2), runner=workers[0])
    yield house
    house.close()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "here")
    yield house
    house.close()


def told(body: str) -> Any:
    """A body as the endpoint hands it on."""
    return packed_body(body.encode()).points


def body(count: int = COUNT, first: int = 0) -> str:
    """A loss that falls, spikes, and in the end diverges; the norm is not always there."""
    draw = random.Random(first)
    points = []
    for step in range(first, first + count):
        at = step - first
        loss = (0.5 + 2 * math.exp(-at / 900)) * math.exp(0.03 * draw.gauss(0, 1))
        if at in range(3000, 3004):
            loss *= 40
        if at > count - 200:
            loss *= 1.08 ** (at - count + 200)
        norm = "" if at % 7 == 3 else f',"grad_norm":{draw.random()!r}'
        points.append(f'{{"step":{step},"loss":{loss!r}{norm}}}')
    return f'{{"points":[{",".join(points)}]}}'


def forbid(monkeypatch: pytest.MonkeyPatch, place: Any, name: str) -> None:
    """In this process alone."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError(f"{name} in the process of the service")

    monkeypatch.setattr(place, name, refuse)


def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on nothing is so much that it would be done elsewhere."""
    for place, name in ((beside, "MANY"), (fold, "PAGE"), (explaining, "MANY_LOOKED_AT"), (series, "FEW")):
        monkeypatch.setattr(place, name, 1 << 40)
    monkeypatch.setattr("losswatch_server.runs.beside.MANY", 1 << 40)


def state(house: House) -> tuple[bytes, bytes, list[Any], list[Any]]:
    live = house.runs._cache.peek("default", "run")
    assert live is not None
    assert live.monitor is not None
    snapshots = house.sql("SELECT seq, step, body FROM snapshot ORDER BY seq")
    return house.report_bytes(), freeze(live.monitor), snapshots, house.kinds()


def text(house: House, form: Callable[[WholeSeries], Any]) -> bytes:
    async def whole() -> bytes:
        return b"".join([part async for part in form(await house.runs.series("default", "run"))])

    return house.do(whole())


def test_many_points_are_judged_elsewhere_to_the_bit(
    elsewhere: House, here: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = body()
    stories = [
        (told(raw), Context(learning_rate=0.1), "w"),
        ([Point(COUNT - 1, validation_loss=0.9)], None, "w"),
        (told(body(first=COUNT)), None, "w"),
        ([Point(2 * COUNT, loss=1.0)], None, "w"),
    ]
    with monkeypatch.context() as patched:
        few(patched)
        for story in stories:
            here.record(*story)
        expected = state(here)
        assert b"loss_spike" in expected[0]
        assert b"diverging" in expected[0]
    for story in stories:
        with monkeypatch.context() as patched:
            if len(story[0]) > 1:
                forbid(patched, Monitor, "see_all")
                forbid(patched, blocks, "unpack")
            elsewhere.record(*story)
    assert state(elsewhere) == expected


def test_a_long_run_is_judged_anew_elsewhere(elsewhere: House, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere.record(told(body()), Context(learning_rate=0.1))
    before = elsewhere.report_bytes()
    elsewhere.restart()
    elsewhere.sql("DELETE FROM snapshot")
    with monkeypatch.context() as patched:
        folded: list[int] = []
        see_all = Monitor.see_all
        patched.setattr(Monitor, "see_all", lambda *given: (folded.append(len(given[1])), see_all(*given))[1])
        assert elsewhere.report_bytes() == before
    assert 0 < sum(folded) < fold.PAGE  # what no full page holds
    assert max(folded) <= fold.SLICE


def test_what_is_damaged_is_named_though_another_process_met_it(elsewhere: House) -> None:
    elsewhere.record(told(body()))
    elsewhere.do(elsewhere.runs.close())
    elsewhere.sql("UPDATE record SET body = x'0102' WHERE seq = (SELECT min(seq) FROM record)")
    elsewhere.sql("DELETE FROM snapshot")
    elsewhere.restart()
    assert b"are damaged and cannot be read" in elsewhere.report_bytes()


def test_sealing_and_summing_up_are_done_elsewhere(elsewhere: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        forbid(patched, sealing, "opened")
        forbid(patched, summary_tree, "leaf")
        elsewhere.record(told(body()))
        elsewhere.do(elsewhere.runs.close())
    kinds = elsewhere.sql("SELECT kind, count(*) FROM record GROUP BY kind")
    assert [kind for kind, _ in kinds] == [7]
    assert elsewhere.sql("SELECT sum(n) FROM summary WHERE level = 0")[0][0] > 0.8 * COUNT
    assert len(elsewhere.stored()) == COUNT


@pytest.mark.parametrize("form", [WholeSeries.ndjson, WholeSeries.csv])
def test_a_whole_series_is_written_elsewhere(
    elsewhere: House, form: Callable[[WholeSeries], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere.record(told(body()))
    elsewhere.do(elsewhere.runs.close())
    with monkeypatch.context() as patched:
        few(patched)
        expected = text(elsewhere, form)
    assert expected.count(b"\n") == COUNT + (form is WholeSeries.csv)
    with monkeypatch.context() as patched:
        if form is WholeSeries.ndjson:  # the columns of CSV take a look at two parts
            forbid(patched, Passage, "points")
        forbid(patched, codec.encoding, "encode_plain")
        forbid(patched, csv, "DictWriter")
        assert text(elsewhere, form) == expected


def test_a_finding_of_many_points_is_explained_elsewhere(elsewhere: House, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere.record(told(body(1500)))
    found = elsewhere.do(elsewhere.runs.findings("default", "run"))
    ids = [stored.finding.id for stored in found]
    assert ids
    with monkeypatch.context() as patched:
        few(patched)
        expected = [elsewhere.do(elsewhere.runs.explain("default", "run", one)) for one in ids]
    forbid(monkeypatch, Probe, "look")
    assert [elsewhere.do(elsewhere.runs.explain("default", "run", one)) for one in ids] == expected


def test_who_stops_reading_a_series_makes_room_for_the_next(elsewhere: House) -> None:
    elsewhere.record(told(body()))
    elsewhere.elsewhere = elsewhere.runs._cache.elsewhere = Elsewhere(elsewhere.elsewhere._workers, 1)

    async def story() -> None:
        first = asyncio.create_task(anext((await elsewhere.runs.series("default", "run")).ndjson()))
        while not elsewhere.elsewhere._turns.locked():  # noqa: ASYNC110
            await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await anext((await elsewhere.runs.series("default", "run")).ndjson())

    elsewhere.do(story())
