"""Why a finding is there, and how a run compares with its sweep, over HTTP."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient


def post(api: TestClient, run: str, losses: list[Any], first: int = 1, **body: Any) -> Any:
    listed = [{"step": first + i, "loss": loss} for i, loss in enumerate(losses)]
    answer = api.post(f"/v1/runs/{run}/points", json={"points": listed, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def curve(n: int, floor: float, seed: int) -> list[float]:
    noise = np.random.default_rng(seed).normal(size=n)
    return ((floor + (2.3 - floor) * np.exp(-np.arange(n) / (n / 5))) * np.exp(0.03 * noise)).tolist()


def finding(report: dict[str, Any], condition: str) -> dict[str, Any]:
    found: dict[str, Any] = next(f for f in report["findings"] if f["condition"] == condition)
    return found


def explained(api: TestClient, run: str, found: dict[str, Any]) -> dict[str, Any]:
    answer = api.get(f"/v1/runs/{run}/findings/{found['id']}/explain")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    conforms(api, "Explanation", told)
    return told


def conforms(api: TestClient, model: str, value: Any) -> None:
    document = api.get("/openapi.json").json()
    schema = {"$ref": f"#/components/schemas/{model}", "components": document["components"]}
    Draft202012Validator(schema).validate(value)


def at(told: dict[str, Any], step: int) -> dict[str, Any]:
    row: dict[str, Any] = next(row for row in told["values"] if row["step"] == step)
    return row


def test_a_divergence_is_explained_by_its_rise(api: TestClient, run: str) -> None:
    found = finding(post(api, run, [1.3 * 3.55**i for i in range(20)]), "diverging")
    told = explained(api, run, found)
    assert (told["finding"], told["condition"], told["alarms"]) == (found["id"], "diverging", "above")
    opened = at(told, found["opened_step"])
    assert opened["statistic"] > opened["threshold"] == told["threshold"]
    assert opened["value"] == 1.3 * 3.55 ** (found["opened_step"] - 1)
    assert told["used_points"] == {"from_step": 1, "to_step": found["opened_step"]}


def test_values_that_are_not_finite_are_strings(api: TestClient, run: str) -> None:
    found = finding(post(api, run, [1.0, 0.9, 0.8, "NaN", "NaN"]), "non_finite")
    told = explained(api, run, found)
    assert [(row["value"], row["statistic"]) for row in told["values"]] == [
        (1.0, 0.0),
        (0.9, 0.0),
        (0.8, 0.0),
        ("NaN", 1.0),
        ("NaN", 2.0),
    ]


def test_an_explanation_does_not_depend_on_how_the_points_came(api: TestClient, run: str) -> None:
    losses = [*curve(200, 0.3, 1), 9.0, 8.0, 7.0, *curve(60, 0.3, 2)]
    whole = explained(api, f"{run}-whole", finding(post(api, f"{run}-whole", losses), "loss_spike"))
    report: dict[str, Any] = {}
    for start in range(0, len(losses), 23):
        report = post(api, f"{run}-parts", losses[start : start + 23], first=1 + start)
    parts = explained(api, f"{run}-parts", finding(report, "loss_spike"))
    assert {**parts, "finding": ""} == {**whole, "finding": ""}


@pytest.mark.slow
def test_fields_that_came_in_a_request_of_their_own_are_in_it(api: TestClient, run: str) -> None:
    for step in range(1, 120):
        post(api, run, [1.0 + 0.1 * math.sin(step)], first=step)
        norm = 1.0 if step < 80 else 200.0
        api.post(f"/v1/runs/{run}/points", json={"step": step, "grad_norm": norm})
    report = api.get(f"/v1/runs/{run}/report").json()
    told = explained(api, run, finding(report, "exploding_gradient"))
    assert at(told, told["opened_step"])["value"] == 200.0


def test_a_finding_that_a_resume_took_back_is_explained_by_its_own_attempt(api: TestClient, run: str) -> None:
    good = curve(100, 0.3, 3)
    spoilt = post(api, run, [*good, *[50.0 * 2**i for i in range(8)]])
    found = finding(spoilt, "diverging")
    post(api, run, curve(40, 0.31, 4), first=90)
    told = explained(api, run, found)
    assert at(told, found["opened_step"])["value"] >= 50.0
    assert api.get(f"/v1/runs/{run}/findings/{found['id']}").json()["closed_by"] == "superseded"


def test_a_long_run_is_explained_in_at_most_five_hundred_rows(api: TestClient, run: str) -> None:
    losses = curve(3000, 0.3, 5)
    losses[2000] = 9.0
    told = explained(api, run, finding(post(api, run, losses), "loss_spike"))
    assert len(told["values"]) <= 500
    assert at(told, 2001)["statistic"] == 9.0


def test_what_is_not_there_is_not_explained(api: TestClient, run: str) -> None:
    assert api.get(f"/v1/runs/{run}/findings/f_0/explain").json()["type"] == "/docs/problems#run-not-found"
    post(api, run, [1.0])
    missing = api.get(f"/v1/runs/{run}/findings/f_0/explain")
    assert (missing.status_code, missing.json()["type"]) == (404, "/docs/problems#finding-not-found")
    assert api.get(f"/v1/runs/{run}-none/siblings").status_code == 404


def siblings(api: TestClient, run: str) -> dict[str, Any]:
    told: dict[str, Any] = api.get(f"/v1/runs/{run}/siblings").json()
    conforms(api, "Siblings", told)
    return told


@pytest.mark.slow
def test_a_run_is_compared_with_the_twenty_before_it_in_its_sweep(api: TestClient, run: str) -> None:
    group = {"context": {"group": run}}
    for number in range(20):
        post(api, f"{run}-{number:02}", curve(400, 0.30 if number else 0.60, number), **group)
    post(api, f"{run}-last", curve(400, 0.45, 99), **group)
    post(api, f"{run}-elsewhere", curve(400, 0.01, 7), context={"group": "another"})
    before = api.get(f"/v1/runs/{run}-last/report").content

    told = siblings(api, f"{run}-last")
    assert told["sentence"].startswith("The loss at step 400 (0.4")
    assert told["sentence"].endswith("is worse than that of 19 of 20 earlier runs.")
    assert (told["step"], told["rank"], told["compared"]) == (400, 20, 20)
    assert (told["worse_than"], told["better_than"], told["not_reached"]) == (19, 1, 0)
    assert told["siblings"][-1]["run"] == f"{run}-00"
    assert told["quantiles"]["median"] < told["loss"] < told["quantiles"]["highest"]
    assert api.get(f"/v1/runs/{run}-last/report").content == before

    best = siblings(api, f"{run}-00")
    assert "worse than that of 20 of 20 other runs" in best["sentence"]


def test_runs_that_stopped_early_are_counted_and_not_compared(api: TestClient, run: str) -> None:
    for number in range(5):
        length = 20 if number == 0 else 100
        post(api, f"{run}-{number}", curve(length, 0.3, number), context={"group": run})
    told = siblings(api, f"{run}-4")
    assert (told["step"], told["compared"], told["not_reached"]) == (100, 3, 1)


def test_a_run_that_is_ahead_is_compared_where_the_others_are(api: TestClient, run: str) -> None:
    for number, length in enumerate([50, 50, 50, 400]):
        post(api, f"{run}-{number}", curve(length, 0.3, number), context={"group": run})
    assert siblings(api, f"{run}-3")["step"] == 50


def test_a_sibling_whose_loss_is_not_finite_is_worse_than_any_number(api: TestClient, run: str) -> None:
    post(api, f"{run}-broken", [*[1.0] * 20, *["NaN"] * 20], context={"group": run})
    post(api, f"{run}-fine", [1.0] * 40, context={"group": run})
    told = siblings(api, f"{run}-fine")
    assert told["siblings"][0]["loss"] == "Infinity"
    assert told["sentence"] == "The loss at step 40 (1) is better than that of 1 of 1 earlier run."


def test_a_run_is_compared_with_its_own_earlier_attempt(api: TestClient, run: str) -> None:
    post(api, run, [1.0] * 50 + [0.5] * 50)
    post(api, run, [0.4] * 50, first=51)
    told = siblings(api, run)
    assert told["sentence"] == "The loss at step 100 (0.4) is better than that of 1 of 1 earlier attempt."
    assert [(s["attempt"], s["loss"]) for s in told["siblings"]] == [(1, 0.5)]


def test_runs_with_another_loss_are_no_siblings(api: TestClient, run: str) -> None:
    post(api, f"{run}-a", [1.0] * 20, context={"group": run, "loss_name": "mse"})
    post(api, f"{run}-b", [2.0] * 20, context={"group": run, "loss_name": "cross_entropy"})
    told = siblings(api, f"{run}-b")
    assert (told["step"], told["rank"], told["siblings"]) == (None, None, [])
    assert told["sentence"].startswith("There is nothing to compare with")


def test_a_run_without_a_group_is_told_how_to_have_siblings(api: TestClient, run: str) -> None:
    post(api, run, [1.0] * 20)
    assert "`group`" in siblings(api, run)["sentence"]
