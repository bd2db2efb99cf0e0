"""Requests that no client of these tools makes: each is answered in its tool's words, and none is an error of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compat.conftest import Service

RUN = "odd"
ODD_TEXTS = st.one_of(
    st.text(max_size=20), st.sampled_from(["", "\x00", "\ud800", "é" * 300, "NaN", "1_0", "0", "a.b/c", "%", "../x"])
)
NUMBERS = st.one_of(
    st.integers(-(10**25), 10**25), st.floats(), st.sampled_from([0, -1, 2**53, 2**63, 10**400, True, None, "7", "x"])
)
VALUES = st.recursive(
    st.one_of(ODD_TEXTS, NUMBERS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD_TEXTS, inner, max_size=3),
    max_leaves=6,
)
METRIC = st.fixed_dictionaries(
    {}, optional={"key": VALUES, "value": VALUES, "step": NUMBERS, "timestamp": NUMBERS, "name": ODD_TEXTS}
)
PAIR = st.fixed_dictionaries({}, optional={"key": VALUES, "value": VALUES})
BODIES = st.one_of(
    VALUES,
    st.fixed_dictionaries(
        {"run_id": st.sampled_from([RUN, RUN, RUN, "no"])},
        optional={
            "key": VALUES, "value": VALUES, "step": NUMBERS, "timestamp": NUMBERS, "status": ODD_TEXTS,
            "metrics": st.lists(METRIC, max_size=4) | VALUES, "params": st.lists(PAIR, max_size=4) | VALUES,
            "tags": st.lists(PAIR, max_size=4) | VALUES, "name": VALUES, "run_name": VALUES, "experiment_id": VALUES,
            "experiment_ids": VALUES, "filter": ODD_TEXTS, "order_by": VALUES, "max_results": NUMBERS,
            "page_token": ODD_TEXTS, "start_time": NUMBERS,
        },
    ),
)  # fmt: skip
POSTS = [
    *(f"runs/{call}" for call in ("create", "update", "log-metric", "log-parameter", "set-tag", "log-batch")),
    *("runs/search", "runs/log-inputs", "runs/outputs", "logged-models", "experiments/create", "experiments/search"),
]
GETS = ("runs/get", "metrics/get-history", "artifacts/list", "experiments/get", "experiments/get-by-name")
QUERIES = st.dictionaries(
    st.sampled_from(
        ["run_id", "metric_key", "page_token", "max_results", "experiment_id", "experiment_name", "project"]
    ),
    st.sampled_from([RUN, RUN, "e_-", "0"]) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
examples = settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", autouse=True)
def odd_run(service: Service) -> None:
    service.http.post(f"{service.url}/api/2.0/mlflow/runs/create", json={"run_name": RUN}).raise_for_status()


@pytest.mark.parametrize("path", POSTS)
@examples
@given(body=BODIES)
def test_mlflow_is_answered_in_its_words(service: Service, path: str, body: Any) -> None:
    answer = service.http.post(f"{service.url}/api/2.0/mlflow/{path}", content=json.dumps(body))
    assert answer.status_code in (200, 400, 404), answer.text
    found = json.loads(answer.text, parse_constant=pytest.fail)
    assert answer.status_code == 200 or {"error_code", "message"} == set(found)


@pytest.mark.parametrize("path", GETS)
@examples
@given(query=QUERIES)
def test_mlflow_reads_whatever_it_asks(service: Service, path: str, query: dict[str, str]) -> None:
    answer = service.http.get(f"{service.url}/api/2.0/mlflow/{path}", params=query)
    assert answer.status_code in (200, 400, 404), answer.text
    assert answer.status_code == 200 or answer.json()["error_code"]


@examples
@given(body=VALUES, kind=st.sampled_from(["application/json", "application/x-protobuf"]))
def test_otlp_is_answered_whatever_comes(service: Service, body: Any, kind: str) -> None:
    content = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": body}]}]} if body else body)
    answer = service.http.post(f"{service.url}/v1/metrics", content=content, headers={"Content-Type": kind})
    assert answer.status_code in (200, 400), answer.text
    assert answer.headers["content-type"] == kind


@examples
@given(body=VALUES | st.dictionaries(ODD_TEXTS, VALUES, max_size=3), form=st.booleans())
def test_remote_monitor_is_answered_whatever_comes(service: Service, body: Any, form: bool) -> None:
    text = json.dumps(body)
    answer = service.http.post(
        f"{service.url}/v1/compat/keras/odd-keras", **({"data": {"data": text}} if form else {"content": text})
    )
    assert answer.status_code in (200, 400, 422), answer.text


@pytest.mark.parametrize("name", ["order_by", "experiment_ids"])
def test_what_is_no_list_is_refused(service: Service, name: str) -> None:
    for value in (1, "attributes.start_time", {"a": 1}, True):
        answer = service.http.post(f"{service.url}/api/2.0/mlflow/runs/search", json={name: value})
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_half_a_surrogate_pair_breaks_nothing(service: Service) -> None:
    for text in (
        '{"\\ud800": 1}',
        '{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"\\udc00": 1, "name": "\\ud800"}]}]}]}',
    ):
        answer = service.http.post(
            f"{service.url}/v1/metrics", content=text, headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()) == (200, {})
