"""A run that is written out and taken in elsewhere is the same run, to the last bit; or nothing is taken in."""

from __future__ import annotations

import io
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from house import House
from losswatch_server.codec.portable import NotPortableError
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.vocabulary import RunState
from losswatch_server.runs.portability import Importer, RunExistsError, export, put
from losswatch_server.store.retention import Policy
from runs.test_thinning import post_odd_run, retention, said


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("source") / "data")
    post_odd_run(house, "odd")
    yield house
    house.close()


def written(house: House, name: str) -> bytes:
    file = io.BytesIO()
    house.do(export(house.store, "default", name, file))
    return file.getvalue()


def take_in(house: House, lines: bytes, name: str) -> None:
    importer = Importer("default", name, lambda size: None)
    for line in lines.splitlines():
        importer.line(line)
    house.do(put(house.store, importer.finish()))


def everything(house: House, name: str) -> Any:
    findings = house.do(house.runs.findings("default", name))
    points = house.stored(name)
    columns = house.columns(name)
    row = house.do(house.runs.get("default", name))
    return house.report_bytes(name), said(points), repr(findings), columns, row


@pytest.mark.slow
def test_it_comes_back_as_it_was_thinned_or_whole(source: House, tmp_path: Path) -> None:
    house = House(tmp_path / "data")
    for step in ("whole", "thinned"):
        lines = written(source, "odd")
        take_in(house, lines, "odd")
        assert everything(house, "odd") == everything(source, "odd")
        house.restart()
        assert everything(house, "odd") == everything(source, "odd")
        house.do(house.runs.delete("default", "odd"))
        if step == "whole":
            source.now += 30 * 86_400
            source.do(retention(source).apply("default", Policy(thin_after_days=7, thin_to_points=600)))
            assert written(source, "odd") != lines
    house.close()


def test_a_run_under_way_goes_on_where_it_was(tmp_path: Path) -> None:
    here, there = House(tmp_path / "here"), House(tmp_path / "there")
    here.record([Point(n, loss=2.0 / (n + 1), rank=n % 2) for n in range(600)], Context(learning_rate=0.1), "w")
    take_in(there, written(here, "run"), "run")
    for house in (here, there):
        house.record([Point(n, loss=math.nan if n == 700 else 0.01) for n in range(600, 900)], writer="w")
        house.record([Point(300 + n, loss=0.5) for n in range(100)], writer="v")
    assert here.report_bytes() == there.report_bytes()
    assert said(here.stored()) == said(there.stored())
    for house in (here, there):
        house.close()


numbers = st.one_of(st.none(), st.floats(), st.sampled_from([math.nan, math.inf, -0.0, 5e-324, 1.7976931348623157e308]))
names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
fields = st.fixed_dictionaries(
    {
        "loss": numbers,
        "grad_norm": numbers,
        "validation_loss": numbers,
        "epoch": numbers,
        "layers": st.none() | st.dictionaries(names, st.floats(), min_size=1, max_size=3),
        "metrics": st.none() | st.dictionaries(names, st.floats(), min_size=1, max_size=3),
        "time": st.sampled_from([None, "2026-03-01T12:00:00.123456789+05:30"]),
    }
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, House]]:
    houses = House(tmp_path_factory.mktemp("here") / "data"), House(tmp_path_factory.mktemp("there") / "data")
    yield houses
    for house in houses:
        house.close()


@pytest.mark.slow
@given(posted=st.lists(fields, min_size=1, max_size=8), tags=st.dictionaries(names, names, max_size=2))
@settings(max_examples=30)
def test_whatever_was_posted(pair: tuple[House, House], posted: Any, tags: Any) -> None:
    here, there = pair
    name = f"run-{here.uids}"
    points = [Point(n, **one, loss_is_null=one["loss"] is None and n % 2 == 1) for n, one in enumerate(posted)]
    here.record(points, Context(tags=tags, extra={"x": 1.5}), "a writer", name)
    here.do(here.runs.finish("default", name, RunState.FAILED, "ünd"))
    take_in(there, written(here, name), name)
    assert everything(there, name) == everything(here, name)


@pytest.mark.slow
def test_what_was_cut_off_or_changed_on_its_way_is_not_taken_in(source: House, tmp_path: Path) -> None:
    house = House(tmp_path / "data")
    lines = written(source, "odd").splitlines(keepends=True)
    rng = random.Random(3)
    cuts = [b"".join(lines[:n]) for n in (0, 1, 5, len(lines) - 1)]
    missing = [b"".join(lines[:n] + lines[n + 1 :]) for n in (0, 3, len(lines) // 2)]
    odd = [b"".join([*lines[:-1], b'{"line":"news"}\n', lines[-1]]), b"".join(lines) + lines[1], b"[]", b"\xff{"]
    torn = [b"".join(lines)[: rng.randrange(sum(map(len, lines)) - 30)] for _ in range(3)]
    for wrong in (*cuts, *missing, *odd, *torn):
        with pytest.raises(NotPortableError):
            take_in(house, wrong, "odd")
    run = json.loads(lines[0])
    for name in run:
        for value in (None, "x", -1, [], {}, 1e400):
            changed = {**run, name: value}
            with Quiet():
                take_in(house, json.dumps(changed).encode() + b"\n" + b"".join(lines[1:]), f"{name}-1")
                house.do(house.runs.delete("default", f"{name}-1"))
    assert house.sql("SELECT count(*) FROM record") == [(0,)]
    house.close()


LINES = ("run", "writer", "points", "late", "context", "attempt", "finding", "state", "end", "news")
FIELDS = (
    "format", "name", "uid", "entries", "attempt", "writer", "received_ms", "points", "step", "exact", "context",
    "report", "packed", "seq", "detection_version", "opened_at", "closed_at", "lines", "state", "status", "ordinal",
)  # fmt: skip
odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("e30="),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*FIELDS, "loss"]), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.slow
@given(
    kinds=st.lists(st.sampled_from(LINES), max_size=4),
    given_fields=st.lists(st.dictionaries(st.sampled_from(FIELDS), odd, max_size=6), min_size=4, max_size=4),
    raw=st.binary(max_size=40),
)
def test_no_line_does_more_than_be_refused(kinds: list[str], given_fields: list[dict[str, Any]], raw: bytes) -> None:
    first = {
        "line": "run", "format": 1, "uid": "u", "created_at": 1.0, "last_seen_at": 1.0, "attempt": 1, "step": None,
        "points": 0, "version": 0, "detection_version": 1, "state": "running", "status": "waiting",
        "action": "continue", "headline": "", "context": "{}", "error": "", "entries": 0,
    }  # fmt: skip
    importer = Importer("default", "r", lambda size: None)
    try:
        importer.line(json.dumps(first).encode())
        for kind, more in zip(kinds, given_fields, strict=False):
            importer.line(json.dumps({**more, "line": kind}).encode())
        importer.line(raw)
        importer.finish()
    except NotPortableError:
        pass


class Quiet:
    """What a changed line may do: be refused, or be a run all the same."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, NotPortableError)


def test_what_is_there_already_is_not_overwritten(source: House) -> None:
    lines = written(source, "odd")
    for name in ("odd", "another-name"):
        with pytest.raises(RunExistsError):
            take_in(source, lines, name)
