"""Posting points, and reading them back."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from losswatch_server.api import fast_path
from losswatch_server.app import create_app
from losswatch_server.runs import written
from losswatch_server.settings import Settings


@pytest.fixture(scope="module", params=["the fast path", "the framework"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Both ways to the one endpoint: whoever comes through a proxy's path prefix takes the framework's."""
    prefix = "" if request.param == "the fast path" else "/losswatch"
    app = create_app(Settings(data_dir=tmp_path_factory.mktemp("data")))
    with TestClient(app, f"http://localhost{prefix}", root_path=prefix) as client:
        yield client


def post(api: TestClient, run: str, body: Any, **options: Any) -> Any:
    content = body if isinstance(body, bytes | str) else json.dumps(body)
    return api.post(f"/v1/runs/{run}/points", content=content, **options)


def series(api: TestClient, run: str, **params: Any) -> list[dict[str, Any]]:
    points: list[dict[str, Any]] = api.get(f"/v1/runs/{run}/points", params=params).json()["points"]
    return points


def steps(api: TestClient, run: str) -> list[int]:
    return [point["step"] for point in series(api, run)]


def test_one_bare_point_creates_the_run_and_brings_the_report(api: TestClient, run: str) -> None:
    answer = post(api, run, {"step": 1, "loss": 0.7})
    assert answer.status_code == 200
    report = answer.json()
    assert report["run"] == run
    assert (report["accepted"], report["duplicates"], report["late"], report["conflicts"]) == (1, 0, 0, 0)
    assert (report["state"], report["status"], report["action"]) == ("running", "waiting", "continue")
    assert (report["step"], report["points"], report["attempt"]) == (1, 1, 1)


def test_the_report_has_the_fields_of_the_contract_in_their_order(api: TestClient, run: str) -> None:
    points = [{"step": i, "loss": 1.3 * 3.55**i} for i in range(1, 21)]
    report = post(api, run, {"points": points, "context": {"learning_rate": 0.01, "optimizer": "sgd"}}).json()
    assert list(report)[:20] == [
        "run", "project", "uid", "attempt", "step", "points", "version", "detection_version", "accepted", "duplicates",
        "late", "conflicts", "state", "status", "action", "headline", "findings", "suspicions", "forecast", "notes",
    ]  # fmt: skip
    (finding,) = report["findings"]
    assert finding["condition"] == "diverging"
    assert finding["causes"][0]["cause"] == "learning_rate_too_high"
    assert finding["docs"] == "/v1/conditions/diverging"


def test_without_a_report_the_counts_come_alone(api: TestClient, run: str) -> None:
    answer = post(api, run, {"step": 1, "loss": 0.7}, params={"report": "false"}).json()
    assert set(answer) == {"run", "project", "uid", "attempt", "accepted", "duplicates", "late", "conflicts"}


def test_a_repeated_point_is_a_duplicate_and_a_late_field_is_late(api: TestClient, run: str) -> None:
    post(api, run, {"points": [{"step": i, "loss": 1 / i} for i in range(1, 5)]})
    again = post(api, run, {"step": 2, "loss": 0.5}).json()
    assert (again["accepted"], again["duplicates"]) == (0, 1)
    late = post(api, run, {"step": 2, "validation_loss": 0.6}).json()
    assert (late["late"], late["points"]) == (1, 4)
    assert series(api, run, **{"from": 2, "to": 2})[0]["validation_loss"] == 0.6


def test_one_bad_point_keeps_the_whole_request_out(api: TestClient, run: str) -> None:
    post(api, run, {"step": 1, "loss": 0.7})
    answer = post(api, run, {"points": [{"step": 2, "loss": 0.6}, {"step": 3, "loss": True}, {"step": -1, "lr": 1}]})
    assert answer.status_code == 422
    problem = answer.json()
    assert [error["pointer"] for error in problem["errors"]] == ["/points/1/loss", "/points/2/step", "/points/2/lr"]
    assert problem["errors_total"] == 3
    assert "loss is true; send a number" in problem["detail"]
    assert "did you mean learning_rate?" in problem["errors"][2]["detail"]
    assert steps(api, run) == [1]


def test_two_contradicting_points_in_one_request_are_refused_at_their_place(api: TestClient, run: str) -> None:
    answer = post(api, run, {"points": [{"step": 1, "loss": 1.0}, {"step": 2}, {"step": 1, "loss": 2.0}]})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/points/2/loss"
    assert api.get(f"/v1/runs/{run}").status_code == 404


def test_equal_and_unsorted_points_in_one_request_are_taken(api: TestClient, run: str) -> None:
    body = {"points": [{"step": 3, "loss": 1.0}, {"step": 1, "loss": 3.0}, {"step": 1, "loss": 3.0}, {"step": 2}]}
    answer = post(api, run, body)
    assert answer.status_code == 200
    assert sum(answer.json()[name] for name in ("accepted", "duplicates", "late", "conflicts")) == 4
    assert steps(api, run) == [1, 2, 3]


def test_an_empty_batch_changes_nothing_and_is_no_error(api: TestClient, run: str) -> None:
    post(api, run, {"step": 1, "loss": 0.7})
    answer = post(api, run, {"points": []})
    assert answer.status_code == 200
    assert answer.json()["accepted"] == 0
    assert steps(api, run) == [1]


@pytest.mark.slow
def test_more_points_than_fit_are_refused_and_as_many_as_fit_are_taken(api: TestClient, run: str) -> None:
    most = b'{"points":[' + b",".join(b'{"step":%d}' % i for i in range(100_001)) + b"]}"
    refused = post(api, run, most)
    assert refused.status_code == 422
    assert "at most 100000" in refused.json()["detail"]
    taken = post(api, run, most.replace(b',{"step":100000}', b""), params={"report": "false"})
    assert taken.json()["accepted"] == 100_000


@pytest.mark.parametrize("loss", ["NaN", "Infinity", "-Infinity", '"nan"', '"-inf"', '"INF"'])
def test_a_loss_that_is_not_finite_is_taken_and_answered_in_strict_json(api: TestClient, run: str, loss: str) -> None:
    answer = post(api, run, f'{{"step": 1, "loss": {loss}, "layers": {{"a": NaN}}, "metrics": {{"b": {loss}}}}}')
    assert answer.status_code == 200
    read = [api.get(f"/v1/runs/{run}/{path}").text for path in ("points", "report", "findings")]
    for text in (answer.text, *read):
        json.loads(text, parse_constant=pytest.fail)
    assert answer.json()["findings"][0]["condition"] == "non_finite"
    assert series(api, run)[0]["loss"] in ("NaN", "Infinity", "-Infinity")


@pytest.mark.parametrize(
    "content_type",
    [None, "application/x-www-form-urlencoded", "text/plain", "image/png", "application/json; charset=x"],
)
def test_a_body_that_parses_as_json_is_json_whatever_its_type(
    api: TestClient, run: str, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    assert post(api, run, b'{"step": 1, "loss": 0.7}', headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("content_type", "status"),
    [("application/json", 400), ("application/x-www-form-urlencoded", 400), ("text/csv", 415), ("image/png", 415)],
)
def test_a_body_that_is_no_json_is_malformed_or_of_a_wrong_type(
    api: TestClient, run: str, content_type: str, status: int
) -> None:
    answer = post(api, run, b"step,loss\n1,2\n", headers={"Content-Type": content_type})
    assert answer.status_code == status


def test_gzip_is_taken_and_other_encodings_are_told_so(api: TestClient, run: str) -> None:
    packed = gzip.compress(b'{"step": 1, "loss": 0.7}')
    assert post(api, run, packed, headers={"Content-Encoding": "gzip"}).status_code == 200
    two = gzip.compress(b'{"step": 2, ') + gzip.compress(b'"loss": 0.6}')
    assert post(api, run, two, headers={"Content-Encoding": "gzip"}).json()["step"] == 2
    refused = post(api, run, packed, headers={"Content-Encoding": "br"})
    assert (refused.status_code, refused.headers["accept-encoding"]) == (415, "gzip")


@pytest.mark.parametrize(
    "damaged",
    [b"not gzip", gzip.compress(b'{"step": 1}')[:-9], gzip.compress(b"") * 20],
    ids=["no gzip", "cut short", "many empty members"],
)
def test_damaged_gzip_is_malformed(api: TestClient, run: str, damaged: bytes) -> None:
    assert post(api, run, damaged, headers={"Content-Encoding": "gzip"}).status_code == 400


def test_a_value_that_was_sent_comes_back_exactly(api: TestClient, run: str) -> None:
    values = [0.1, 1 / 3, 5e-324, 1e300, -0.0, 1e-12, 2**53 + 2.0]
    for name in ("epoch",):
        post(api, f"{run}-{name}", {"points": [{"step": i, name: value} for i, value in enumerate(values)]})
        read = [point[name] for point in series(api, f"{run}-{name}")]
        assert [repr(float(value)) for value in read] == [repr(value) for value in values]
    metrics = {f"m{i}": value for i, value in enumerate(values)}
    post(api, run, {"step": 1, "metrics": metrics})
    assert repr(series(api, run)[0]["metrics"]) == repr(metrics)


def test_the_series_come_as_csv_and_ndjson_too(api: TestClient, run: str) -> None:
    post(api, run, '{"points": [{"step": 1, "loss": 0.5, "metrics": {"a,b": 1}}, {"step": 2, "loss": NaN}]}')
    table = api.get(f"/v1/runs/{run}/points", headers={"Accept": "text/csv"})
    assert table.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [(row["step"], row["loss"], row["metrics.a,b"]) for row in rows] == [("1", "0.5", "1.0"), ("2", "NaN", "")]
    lines = api.get(f"/v1/runs/{run}/points", headers={"Accept": "application/x-ndjson, text/csv;q=0.1"})
    assert [json.loads(line)["step"] for line in lines.text.splitlines()] == [1, 2]


def test_thinning_keeps_extremes_and_every_value_that_is_not_finite(api: TestClient, run: str) -> None:
    points: list[dict[str, Any]] = [{"step": i, "loss": 1.0 + i % 7 / 100} for i in range(2000)]
    points[777]["loss"] = 50.0
    points[1234]["loss"] = "NaN"
    post(api, run, {"points": points}, params={"report": "false"})
    thinned = series(api, run, resolution=50)
    assert len(thinned) < 500
    assert {777, 1234} <= {point["step"] for point in thinned}


@pytest.mark.parametrize("name", ["a b", "-a", "a" * 129, "é", "a%00", "a%0A", "%ED%A0%80"])
def test_a_name_that_is_no_slug_is_refused(api: TestClient, name: str) -> None:
    for answer in (post(api, name, {"step": 1}), api.get(f"/v1/runs/{name}"), api.put(f"/v1/runs/{name}")):
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
    assert post(api, "x", {"step": 1}, params={"project": name}).status_code == 422


def test_projects_do_not_see_each_other(api: TestClient, run: str, project: str) -> None:
    post(api, run, {"step": 1, "loss": 0.7}, params={"project": project})
    assert api.get(f"/v1/runs/{run}").status_code == 404
    assert api.get(f"/v1/runs/{run}", params={"project": project}).json()["project"] == project


def test_json_comes_in_pages_and_the_link_leads_on(api: TestClient, run: str, project: str) -> None:
    body = {"points": [{"step": i, "loss": 1.0} for i in range(25)]}
    post(api, run, body, params={"project": project})
    url, seen = f"/v1/runs/{run}/points?project={project}&limit=10", []
    while url:
        answer = api.get(url)
        seen.append([point["step"] for point in answer.json()["points"]])
        assert bool(answer.headers.get("link")) == (answer.json()["next_cursor"] is not None)
        url = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
    assert [len(page) for page in seen] == [10, 10, 5]
    assert [step for page in seen for step in page] == list(range(25))
    refused = api.get(f"/v1/runs/{run}/points", params={"project": project, "cursor": "made-up"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "cursor")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["json_list", "ndjson", "csv_rows", "only"])
def test_many_points_are_written_where_nobody_who_posts_waits_for_them(
    api: TestClient, run: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    where: list[bool] = []
    write = getattr(written, name)

    def noting(*given: Any, **named: Any) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            where.append(False)
        else:
            where.append(True)
        return write(*given, **named)

    post(api, run, {"points": [{"step": i, "loss": 1.0} for i in range(5000)]}, params={"report": "false"})
    monkeypatch.setattr(written, name, noting)
    kind = {"ndjson": "application/x-ndjson", "csv_rows": "text/csv"}.get(name, "application/json")
    pages = [{"limit": 5000}] if kind == "application/json" else []  # other pages are whole streams, of other processes
    for params in (*pages, {"resolution": 4000}):
        answer = api.get(f"/v1/runs/{run}/points", params=params, headers={"Accept": kind})
        assert answer.text.count("\n") >= 4000 or len(answer.json()["points"]) >= 4000
    assert where
    assert not any(where)


@pytest.mark.slow
def test_json_without_a_limit_says_that_there_is_more_and_streams_give_all(api: TestClient, run: str) -> None:
    points: list[dict[str, Any]] = [{"step": i, "loss": 1.0} for i in range(12_000)]
    points[11_999]["metrics"] = {"late": 1.0}
    post(api, run, {"points": points}, params={"report": "false"})
    first = api.get(f"/v1/runs/{run}/points").json()
    assert (len(first["points"]), first["next_cursor"] is None) == (10_000, False)
    table = api.get(f"/v1/runs/{run}/points", headers={"Accept": "text/csv"}).text.splitlines()
    assert (table[0], len(table)) == ("step,attempt,superseded,loss,metrics.late", 12_001)
    assert table[-1] == "11999,1,false,1.0,1.0"
    lines = api.get(f"/v1/runs/{run}/points", headers={"Accept": "application/x-ndjson"}).text.splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(12_000))


@pytest.mark.parametrize(("prefix", "fast"), [("", True), ("/losswatch", False)])
def test_the_fast_path_is_left_to_requests_without_a_prefix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str, fast: bool
) -> None:
    taken = []
    real = fast_path.answer_points

    async def noted(request: Any, name: str) -> Any:
        taken.append(request.scope["path"])
        return await real(request, name)

    monkeypatch.setattr(fast_path, "answer_points", noted)
    with TestClient(create_app(Settings(data_dir=tmp_path)), f"http://localhost{prefix}", root_path=prefix) as api:
        assert post(api, "r", {"step": 1, "loss": 1.0}).json()["accepted"] == 1
    assert bool(taken) == fast


def test_only_the_series_that_are_asked_for_come_in_every_form(api: TestClient, run: str) -> None:
    points = [
        {"step": 1, "loss": 2.0, "grad_norm": 1.0, "metrics": {"accuracy": 0.5}},
        {"step": 2, "grad_norm": 1.0},
        {"step": 3, "loss": "NaN", "layers": {"a": 1.0}},
    ]
    post(api, run, {"points": points})
    place = {"attempt": 1, "superseded": False}
    assert series(api, run, series="loss") == [{"step": 1, "loss": 2.0, **place}, {"step": 3, "loss": "NaN", **place}]
    assert series(api, run, series="layers,metrics", resolution=10) == [
        {"step": 1, "metrics": {"accuracy": 0.5}, **place},
        {"step": 3, "layers": {"a": 1.0}, **place},
    ]
    asked = {"params": {"series": "loss"}, "headers": {"Accept": "text/csv"}}
    assert api.get(f"/v1/runs/{run}/points", **asked).text.splitlines()[:2] == [
        "step,attempt,superseded,loss",
        "1,1,false,2.0",
    ]
    refused = api.get(f"/v1/runs/{run}/points", params={"series": "loss,size"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "series"
