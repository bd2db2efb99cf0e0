"""What a limit refuses is cut, never the point: layers, metrics, names, contexts, at services of any age."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from service_stub import BadService, Request, well

import losswatch
from losswatch.context import encode_context
from losswatch.limits import Limits, cut_layers
from losswatch.names import MAX_NAME, meant, plain, slips, slug
from losswatch.points import encode

NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
LAYERS = st.dictionaries(st.text(min_size=1, max_size=5), NUMBERS, min_size=1, max_size=60)


@given(LAYERS, st.integers(8, 64))
def test_layers_are_cut_to_the_limit_and_the_telling_ones_stay(norms: dict[str, float], limit: int) -> None:
    kept, summary = cut_layers(norms, limit)
    names = list(norms)
    assert len(kept) == min(len(norms), limit)
    assert list(kept) == [name for name in names if name in kept]
    assert (summary == {}) == (len(norms) <= limit)
    finite = {name: abs(value) for name, value in norms.items() if math.isfinite(value)}
    if finite:
        sizes = [abs(value) for value in kept.values() if math.isfinite(value)]
        assert max(sizes) == max(finite.values())
        assert min(sizes) == min(finite.values())
    if len(finite) < len(norms):
        assert any(not math.isfinite(value) for value in kept.values())
    if summary:
        assert summary["layers.count"] == len(norms)
        assert summary["layers.not_finite"] == len(norms) - len(finite)
        if len(finite) == len(norms):
            assert {names[0], names[-1]} <= set(kept)


@given(st.dictionaries(st.text(max_size=300), NUMBERS, max_size=8), st.dictionaries(st.text(max_size=9), NUMBERS))
def test_whatever_names_are_given_the_point_goes_within_the_limits(
    layers: dict[str, float], metrics: dict[str, float]
) -> None:
    encoded = encode(3, {"loss": 0.5, "layers": layers, "metrics": metrics}, limits=Limits(6, 7))
    assert encoded.line is not None
    point = json.loads(encoded.line)
    assert point["loss"] == 0.5
    assert len(point.get("layers", {})) == min(len(layers), 6)
    assert len(point.get("metrics", {})) <= 7
    for name in (*point.get("layers", ()), *point.get("metrics", ())):
        assert 0 < len(name) <= MAX_NAME
        assert plain(name) == name


@given(st.text(max_size=400), st.text(max_size=400))
def test_names_are_mended_uniquely_and_only_where_they_must_be(one: str, other: str) -> None:
    assert plain(plain(one)) == plain(one)
    if one != other:
        assert plain(one) != plain(other) or plain(one) in (one, other)
    for given_name in (one, other):
        kept = slug(given_name, "run")
        assert slug(kept, "run") == kept
        assert 0 < len(kept) <= 128


def test_long_names_of_runs_with_one_beginning_stay_apart_and_so_do_names_of_other_scripts() -> None:
    assert slug("x" * 200 + "1", "run") != slug("x" * 200 + "2", "run")
    assert slug("实验一", "run") != slug("实验二", "run")
    assert slug("my team", "project") == "my-team"


@given(st.text("abc_", max_size=6), st.text("abc_", max_size=6))
def test_the_distance_between_words_is_one(one: str, other: str) -> None:
    assert slips(one, other) == slips(other, one)
    assert (slips(one, other) == 0) == (one == other)


def test_a_slip_is_told_from_a_word_of_its_own() -> None:
    known = ("learning_rate", "batch_size")
    assert meant("learnig_rate", known, {}) == "learning_rate"
    assert meant("dropout", known, {}) is None


def an_older_service(request: Request, service: BadService) -> tuple[int, dict[str, str], Any]:
    """As the first services answered: at most 256 layers and 64 metrics; no field that came later."""
    errors = []
    for place, point in enumerate(request.json.get("points", ())):
        for name, most in (("layers", 256), ("metrics", 64)):
            if len(point.get(name, ())) > most:
                detail = f"{name} has {len(point[name])} entries; at most {most} are kept, so send fewer"
                errors.append({"pointer": f"/points/{place}/{name}", "detail": detail})
        if "epoch" in point:
            errors.append({"pointer": f"/points/{place}/epoch", "detail": 'unknown field "epoch"'})
    problem = {"type": "x", "detail": "bad points", "errors": errors[:100]}
    return (422, {}, problem) if errors else well(request, service)


@pytest.mark.slow
def test_an_older_service_gets_less_of_each_point_and_every_point(caplog: pytest.LogCaptureFixture) -> None:
    layers = {f"layer_{place}": 1.0 / (place + 1) for place in range(723)}
    metrics = {f"m{place}": float(place) for place in range(200)}
    with BadService(an_older_service) as service:
        run = losswatch.Run("a", url=service.url, quiet=True, flush_interval=0.05)
        for step in range(300):
            run.log(step, loss=1.0, layers=layers, metrics=metrics, epoch=step)
        assert run.flush(60)
        asked = len(service.requests)
        for step in range(300, 400):
            run.log(step, loss=1.0, layers=layers, metrics=metrics)
        assert run.flush(60)
        run.finish()
        assert service.steps == list(range(400))
        assert all(len(point["layers"]) == 256 and len(point["metrics"]) <= 64 for point in service.stored)
        assert {"layer_0", "layer_722"} <= set(service.stored[-1]["layers"])
        assert all(request.steps for request in service.requests[asked:-1])
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == len(set(warnings)) <= 8
    assert max(map(len, warnings)) < 300


@pytest.mark.slow
@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param({"detail": "The project is not one."}, id="without a pointer"),
        pytest.param({"detail": "no", "errors": [{"pointer": "/writer", "detail": "no"}]}, id="pointer to elsewhere"),
    ],
)
def test_a_service_that_refuses_everything_is_asked_seldom_and_the_points_are_kept(
    refusal: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with BadService(lambda request, service: (422, {}, {"type": "x", **refusal})) as service:
        run = losswatch.Run("a", url=service.url, quiet=True, flush_interval=0.01)
        for step in range(2000):
            run.log(step, loss=1.0)
        assert not run.flush(2)
        assert len(service.requests) < 60
        assert run.dropped == 0
        service.answer = well
        run.finish()
        assert service.steps == list(range(2000))
    assert len(caplog.records) <= 4
    assert max(len(record.getMessage()) for record in caplog.records) < 400


def test_a_context_is_cut_and_spread_out_rather_than_refused() -> None:
    encoded, complaints = encode_context(
        {
            "model": {"width": 128, "heads": {"count": 8}},
            "facts": {"parameters": 10},
            "tags": {"team": "x"},
            "notes": "long " * 1000,
            "betas": (0.9, 0.999),
            "line": "a\nb",
            **{f"p{place}": place for place in range(300)},
        }
    )
    assert encoded["model.width"] == 128
    assert encoded["model.heads.count"] == 8
    assert encoded["facts"] == {"parameters": 10}
    assert encoded["tags"] == {"team": "x"}
    assert len(encoded["notes"]) == 1024
    assert encoded["betas"] == [0.9, 0.999]
    assert encoded["line"] == "a b"
    assert len(encoded) == 256 + 2
    assert [complaint.key for complaint in complaints] == ["context"]


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("learnig_rate", "learning_rate"),
        ("lr", "learning_rate"),
        ("optimiser", "optimizer"),
        ("projct", "project"),
        ("patch_size", None),
        ("dropout", None),
    ],
)
def test_a_slip_in_the_context_is_said_once_and_kept(
    name: str, field: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    with BadService() as service:
        run = losswatch.Run("a", url=service.url, quiet=True, **{name: 1})  # type: ignore[arg-type]
        for step in range(3):
            run.log(step, loss=1.0)
            run.update_context(**{name: 1})
        run.finish()
        assert service.requests[0].json["context"] == {name: 1}
    assert caplog.text.count(f"did you mean {field}?") == (field is not None)
    assert len(caplog.records) == (field is not None)
