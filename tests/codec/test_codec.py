"""The monitor's types as JSON and back."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from losswatch_server import codec
from losswatch_server.codec import bodies
from losswatch_server.codec.bodies import parse_json, read_value
from losswatch_server.monitor.findings import Advice, Cause, Finding
from losswatch_server.monitor.points import MAX_STEP, Point
from losswatch_server.monitor.vocabulary import CauseName, ClosedBy, Condition, Severity

NAN, INF = float("nan"), float("inf")


def strict(text: bytes) -> Any:
    """JSON that has no NaN in it, as every other language reads it."""

    def refuse(token: str) -> None:
        raise AssertionError(f"{token} is not JSON")

    return json.loads(text, parse_constant=refuse)


def same(first: Any, second: Any) -> bool:
    """Equal, where NaN equals NaN and 0.0 is not -0.0."""
    return repr(first) == repr(second)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("0.1", 0.1),
        ("1", 1.0),
        ("-0.0", -0.0),
        ("5e-324", 5e-324),
        ("1.7976931348623157e308", 1.7976931348623157e308),
        ("1e999", INF),
        ("-1e999", -INF),
        ("9" * 5000, INF),
        ("-" + "9" * 5000, -INF),
        ("NaN", NAN),
        ("Infinity", INF),
        ("-Infinity", -INF),
        ('"NaN"', NAN),
        ('"nan"', NAN),
        ('"-NaN"', NAN),
        ('"Inf"', INF),
        ('"+inf"', INF),
        ('"-INF"', -INF),
        ('"Infinity"', INF),
        ('"-infinity"', -INF),
        ("null", None),
        ('"NA"', None),
    ],
)
def test_a_number_is_read_by_the_contracts_rules(sent: str, read: float | None) -> None:
    (point,) = codec.read_body(f'{{"step": 1, "grad_norm": {sent}}}'.encode()).points
    assert same(point.grad_norm, read)


@pytest.mark.parametrize(
    ("field", "sent", "detail"),
    [
        ("loss", "true", "loss is true; send a number, such as 1"),
        ("loss", '"1_0"', "without the quotes"),
        ("loss", '"0.5"', "without the quotes"),
        ("loss", '"low"', 'the text "low"'),
        ("loss", "[0.5]", "list"),
        ("loss", "{}", "object"),
        ("step", "true", "whole number"),
        ("step", "1.5", "whole number"),
        ("step", '"1"', "without quotes"),
        ("step", "null", "whole number"),
        ("step", "-1", "from 0 to 9007199254740991"),
        ("step", "9007199254740992", "from 0 to 9007199254740991"),
        ("step", "9223372036854775808", "from 0 to"),
        ("step", "NaN", "whole number"),
        ("rank", "-1", "from 0 to"),
        ("time", '"yesterday"', "RFC 3339"),
        ("time", '"2026-02-30T12:00:00Z"', "RFC 3339"),
        ("time", '"2026-02-03T12:00:00"', "with its offset"),
        ("time", "7", "RFC 3339"),
        ("layers", "[]", "object of names and numbers"),
        ("layers", '{"": 1}', "empty"),
        ("layers", '{"a\\u0000b": 1}', "U+0000"),
        ("layers", '{"\\ud800": 1}', "U+D800"),
        ("metrics", '{"x": "fast"}', 'metrics "x"'),
        ("metrics", json.dumps({f"m{i}": i for i in range(257)}), "at most 256"),
        ("layers", json.dumps({f"l{i}": i for i in range(1025)}), "at most 1024"),
    ],
)
def test_a_bad_field_is_refused_with_what_to_change(field: str, sent: str, detail: str) -> None:
    items = {"step": "1", field: sent}
    text = "{" + ", ".join(f'"{name}": {value}' for name, value in items.items()) + "}"
    with pytest.raises(codec.BodyRefusedError) as refusal:
        codec.read_body(f'{{"points": [{{"step": 0}}, {text}]}}'.encode())
    (problem,) = refusal.value.problems
    assert problem.pointer == f"/points/1/{field}"
    assert detail in problem.detail


@pytest.mark.parametrize(
    ("name", "meant"),
    [("lr", "learning_rate"), ("val_loss", "validation_loss"), ("grad_nrom", "grad_norm"), ("Loss", "loss"),
     ("gradient_norm", "grad_norm"), ("global_step", "step"), ("metric", "metrics")],
)  # fmt: skip
def test_an_unknown_field_is_answered_with_the_one_that_was_meant(name: str, meant: str) -> None:
    with pytest.raises(codec.BodyRefusedError, match=f"did you mean {meant}\\?"):
        codec.read_body(json.dumps({"step": 1, name: 1}).encode())


def test_every_bad_place_is_named_up_to_a_hundred() -> None:
    points = [{"step": i, "loss": True, "x": 1} for i in range(80)]
    with pytest.raises(codec.BodyRefusedError) as refusal:
        codec.read_body(json.dumps({"points": points, "writer": "", "context": {"batch_size": "big"}}).encode())
    assert len(refusal.value.problems) == 100
    assert refusal.value.total == 162
    assert {"/writer", "/context/batch_size", "/points/0/loss", "/points/0/x"} <= {
        problem.pointer for problem in refusal.value.problems
    }


@pytest.mark.parametrize(
    ("sent", "loss", "is_null"),
    [('{"step": 1}', None, False), ('{"step": 1, "loss": null}', None, True), ('{"step": 1, "loss": NaN}', NAN, False)],
)
def test_absent_null_and_nan_are_three_things(sent: str, loss: float | None, is_null: bool) -> None:
    (point,) = codec.read_body(sent.encode()).points
    assert same(point.loss, loss)
    assert point.loss_is_null is is_null


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"{", "line 1, column 2"),
        (b'{"step": 1,\n "loss": 0.5.1}', "line 2"),
        (b"step 1 loss 0.7", "line 1, column 1"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_not_json_is_told_with_the_place_where_it_stops(body: bytes, detail: str) -> None:
    with pytest.raises(codec.NotJsonError, match=detail):
        codec.read_body(body)


@pytest.mark.parametrize("body", [b"[]", b"7", b'"points"', b"null", b"{}", b'{"context": {}}', b'{"points": {}}'])
def test_json_that_holds_no_points_is_told_what_a_body_looks_like(body: bytes) -> None:
    with pytest.raises(codec.BodyRefusedError, match=r'\{"points": \['):
        codec.read_body(body)


def test_a_byte_order_mark_and_utf_16_do_no_harm() -> None:
    text = '{"step": 1, "loss": 0.5}'
    expected = codec.read_body(text.encode())
    assert codec.read_body(text.encode("utf-8-sig")) == expected
    assert codec.read_body(text.encode("utf-16")) == expected


numbers = st.floats(width=64) | st.integers(-(2**70), 2**70) | st.none()
names = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)
points = st.fixed_dictionaries(
    {"step": st.integers(0, MAX_STEP)},
    optional={
        "loss": numbers,
        "grad_norm": numbers,
        "learning_rate": numbers,
        "validation_loss": numbers,
        "epoch": numbers,
        "time": st.sampled_from(["2026-03-01T12:00:00Z", "2026-03-01t12:00:00.125+01:00", None]),
        "layers": st.dictionaries(names, st.floats(), max_size=4),
        "metrics": st.dictionaries(names, st.floats(), max_size=4),
        "rank": st.integers(0, 2**31 - 1),
    },
)


@given(st.lists(points, max_size=5), st.none() | st.just("w-1"))
def test_the_fast_path_reads_what_the_exact_one_reads(sent: list[dict[str, Any]], writer: str | None) -> None:
    raw = json.dumps({"points": sent, "writer": writer}).encode()
    body = codec.read_body(raw)
    assert same(body, read_value(parse_json(raw)))


@given(points)
def test_a_point_comes_back_exactly(sent: dict[str, Any]) -> None:
    (point,) = codec.read_body(json.dumps(sent).encode()).points
    text = codec.dumps(codec.point_json(point))
    strict(text)
    (again,) = codec.read_body(text).points
    assert same(again, point)


def test_plain_points_take_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(raw: bytes) -> Any:
        raise AssertionError("the exact path was taken")

    monkeypatch.setattr(bodies, "parse_json", forbidden)
    body = {"points": [{"step": 1, "loss": 0.5, "metrics": {"accuracy": 0.9}}], "context": {"lr": 1}, "writer": "w"}
    assert codec.read_body(msgspec.json.encode(body)).points == [Point(1, 0.5, metrics={"accuracy": 0.9})]
    assert codec.read_body(b'{"step": 1, "loss": 0.5}').points == [Point(1, 0.5)]


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
nearly = st.dictionaries(
    st.sampled_from(["points", "context", "writer", "step", "loss", "layers", "time", "rank", "lr", "\ud800"]), any_json
)


@pytest.mark.slow
@given(any_json | nearly | st.builds(lambda items: {"points": items}, st.lists(nearly, max_size=3)))
def test_any_json_is_read_or_refused_in_words_that_can_be_written(value: Any) -> None:
    try:
        codec.read_body(json.dumps(value).encode())
    except codec.BodyRefusedError as error:
        refusal = error
    else:
        return
    told = [{"pointer": problem.pointer, "detail": problem.detail} for problem in refusal.problems]
    assert told
    assert strict(codec.dumps(told)) == told
    assert all(len(problem.detail) < 600 for problem in refusal.problems)


@given(any_json)
def test_what_is_written_is_strict_json(value: Any) -> None:
    read = strict(codec.dumps({"value": value}))
    assert set(read) == {"value"}


@pytest.mark.parametrize(
    ("value", "text"), [(NAN, b'"NaN"'), (INF, b'"Infinity"'), (-INF, b'"-Infinity"'), (1.5, b"1.5")]
)
def test_numbers_that_are_not_finite_are_written_as_strings(value: float, text: bytes) -> None:
    assert codec.dumps(value) == text
    assert codec.dumps([{"x": (value,)}]) == b'[{"x":[' + text + b"]}]"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1.23456789, 1.23457), (1e-12 / 3, 3.33333e-13), (123456789, 123456789), (True, True), ("x", "x"), (None, None),
     ((64, 66.12345678), [64, 66.1235]), (NAN, "NaN"), ({"a": (0.1 + 0.2,)}, {"a": [0.3]})],
)  # fmt: skip
def test_evidence_is_rounded_to_six_digits_where_it_leaves(value: Any, shown: Any) -> None:
    assert codec.rounded(value) == shown


FINDING = Finding(
    id="f_1",
    condition=Condition.DIVERGING,
    series="loss",
    attempt=2,
    episode=3,
    severity=Severity.CRITICAL,
    confidence=0.99912345678,
    onset_step=1,
    opened_step=5,
    last_step=20,
    resolved_step=21,
    closed_by=ClosedBy.RESOLVED,
    summary="It grew.",
    evidence={"growth": 3.554712345678, "overflow_step": (64, 66), "worst": INF, "odd": NAN, "rule": "steady", "n": 7},
    causes=(
        Cause(cause=CauseName.BAD_BATCH, probability=1 / 3, because=("a", "b"), against=("c",), check="Look."),
        Cause(cause=CauseName.NO_WARMUP, probability=0.1),
    ),
    advice=(Advice(action="set", summary="Do.", value=1 / 7, current="x", cause=CauseName.BAD_BATCH, reference="r"),),
)


def test_an_exact_finding_comes_back_as_it_was() -> None:
    assert same(codec.finding_from_text(codec.finding_text(FINDING)), FINDING)


def test_a_finding_is_written_in_the_order_of_the_contract_and_rounded() -> None:
    shown = codec.finding_json(FINDING)
    in_contract = ["id", "condition", "series", "attempt", "severity", "confidence", "onset_step", "opened_step",
                   "last_step", "resolved_step", "closed_by", "summary", "evidence", "causes", "advice",
                   "docs"]  # fmt: skip
    assert [name for name in shown if name in in_contract] == in_contract
    assert shown["evidence"]["growth"] == 3.55471
    assert shown["evidence"]["overflow_step"] == [64, 66]
    assert shown["docs"] == "/v1/conditions/diverging"


def test_times_are_written_in_utc_and_never_as_a_far_year() -> None:
    assert codec.timestamp(0.0) == "1970-01-01T00:00:00.000Z"
    assert codec.timestamp(None) is None
    assert codec.timestamp(INF) == codec.timestamp(253402300799.999) == "9999-12-31T23:59:59.999Z"
