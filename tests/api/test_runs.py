"""Runs, reports and findings over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient


def points(api: TestClient, run: str, losses: list[Any], first: int = 1, **body: Any) -> Any:
    listed = [{"step": first + i, "loss": loss} for i, loss in enumerate(losses)]
    return api.post(f"/v1/runs/{run}/points", json={"points": listed, **body})


def diverge(api: TestClient, run: str) -> dict[str, Any]:
    report: dict[str, Any] = points(api, run, [1.3 * 3.55**i for i in range(20)]).json()
    return report


def test_declaring_twice_is_creating_once(api: TestClient, run: str) -> None:
    body = {"context": {"optimizer": "sgd", "learning_rate": 0.01, "tags": {"team": "vision"}, "dropout": 0.1}}
    first = api.put(f"/v1/runs/{run}", json=body)
    assert (first.status_code, first.headers["location"]) == (201, f"/v1/runs/{run}")
    again = api.put(f"/v1/runs/{run}", json=body)
    assert again.status_code == 200
    assert again.json()["uid"] == first.json()["uid"]
    assert again.json()["context"] == body["context"]


def test_amending_lays_the_context_over_what_is_known(api: TestClient, run: str) -> None:
    assert api.patch(f"/v1/runs/{run}", json={"context": {}}).status_code == 404
    api.put(f"/v1/runs/{run}", json={"context": {"optimizer": "sgd", "batch_size": 32}})
    amended = api.patch(f"/v1/runs/{run}", json={"context": {"batch_size": 64}}).json()
    assert amended["context"] == {"optimizer": "sgd", "batch_size": 64}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ('{"context": {"learning_rate": "fast"}}', "/context/learning_rate"),
        ('{"learning_rate": 0.1}', "/learning_rate"),
        ("[]", ""),
        ('{"context": 7}', "/context"),
    ],
)
def test_a_bad_context_is_refused_at_its_place(api: TestClient, run: str, body: str, pointer: str) -> None:
    answer = api.put(f"/v1/runs/{run}", content=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert api.get(f"/v1/runs/{run}").status_code == 404


def test_a_deleted_run_is_gone_and_its_writer_is_told_so(api: TestClient, run: str) -> None:
    points(api, run, [1.0], writer="w-1")
    assert api.delete(f"/v1/runs/{run}").status_code == 204
    for path in ("", "/report", "/points", "/findings"):
        assert api.get(f"/v1/runs/{run}{path}").status_code == 404
    ghost = points(api, run, [1.0], first=2, writer="w-1")
    assert (ghost.status_code, ghost.json()["type"]) == (410, "/docs/problems#run-gone")
    assert points(api, run, [1.0], writer="w-2").status_code == 200


def test_runs_are_listed_newest_first_page_by_page(api: TestClient, project: str) -> None:
    for i in range(5):
        api.put(f"/v1/runs/r{i}", params={"project": project}, json={"context": {"group": f"g{i % 2}"}})
    seen = []
    url = f"/v1/runs?project={project}&limit=2"
    while url:
        answer = api.get(url)
        seen += [run["run"] for run in answer.json()["runs"]]
        following = answer.headers.get("link", "")
        assert bool(following) == (answer.json()["next_cursor"] is not None)
        url = following.partition(">")[0].removeprefix("<")
    assert seen == ["r4", "r3", "r2", "r1", "r0"]
    grouped = api.get("/v1/runs", params={"project": project, "group": "g1"}).json()["runs"]
    assert [run["run"] for run in grouped] == ["r3", "r1"]


def test_runs_are_filtered(api: TestClient, project: str) -> None:
    at = {"project": project}
    api.put("/v1/runs/alpha", params=at, json={"context": {"tags": {"team": "vision"}}})
    body = {"points": [{"step": i, "loss": 1.3 * 3.55**i} for i in range(20)]}
    api.post("/v1/runs/beta/points", params=at, json=body)
    api.post("/v1/runs/beta/finish", params=at, json={"state": "failed"})

    def found(**filters: str) -> list[str]:
        return [run["run"] for run in api.get("/v1/runs", params={**at, **filters}).json()["runs"]]

    assert found(status="critical") == found(state="failed") == found(q="BET") == ["beta"]
    assert found(tag="team") == found(tag="team=vision") == ["alpha"]
    assert found(tag="team=text") == found(q="100%") == []


@pytest.mark.parametrize(
    "params",
    [{"limit": "0"}, {"limit": "many"}, {"status": "fine"}, {"state": "gone"}, {"cursor": "made-up"}, {"q": "\x00"},
     {"cursor": "WyJcdWQ4MDAiXQ"}, {"cursor": "WzEuMCwgIlx1ZDgwMCJd"}],
)  # fmt: skip
def test_a_bad_filter_is_refused_by_its_name(api: TestClient, params: dict[str, str]) -> None:
    answer = api.get("/v1/runs", params=params)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == next(iter(params))


def test_a_report_that_has_not_changed_costs_nothing(api: TestClient, run: str) -> None:
    points(api, run, [1.0, 0.9])
    first = api.get(f"/v1/runs/{run}/report")
    etag = first.headers["etag"]
    unchanged = api.get(f"/v1/runs/{run}/report", headers={"If-None-Match": f'"other", W/{etag}'})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", etag)
    points(api, run, [0.8], first=3)
    changed = api.get(f"/v1/runs/{run}/report", headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


def test_the_report_read_is_the_report_answered(api: TestClient, run: str) -> None:
    answered = diverge(api, run)
    read = api.get(f"/v1/runs/{run}/report").json()
    counts = ("accepted", "duplicates", "late", "conflicts")
    assert read == {name: value for name, value in answered.items() if name not in counts}


@pytest.mark.parametrize("state", ["finished", "failed", "cancelled"])
def test_a_finished_run_is_reopened_by_a_point(api: TestClient, run: str, state: str) -> None:
    points(api, run, [1.0])
    assert api.post(f"/v1/runs/{run}/finish", json={"state": state}).json()["state"] == state
    assert api.get(f"/v1/runs/{run}").json()["finished_at"] is not None
    assert points(api, run, [0.9], first=2).json()["state"] == "running"


@pytest.mark.parametrize("body", ["", "  ", "{}"])
def test_a_run_that_ends_without_a_word_has_finished(api: TestClient, run: str, body: str) -> None:
    points(api, run, [1.0])
    assert api.post(f"/v1/runs/{run}/finish", content=body).json()["state"] == "finished"


@pytest.mark.parametrize(
    "body", ['{"state": "running"}', '{"state": "done"}', '{"state": null}', "[]", '{"state": "failed", "x": 1}']
)
def test_a_run_cannot_end_otherwise(api: TestClient, run: str, body: str) -> None:
    points(api, run, [1.0])
    refused = api.post(f"/v1/runs/{run}/finish", content=body)
    assert refused.status_code == 422
    assert "running" not in refused.json()["detail"], "only what can be given is offered"
    assert api.get(f"/v1/runs/{run}").json()["state"] == "running"


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/v1/runs/a/pause", {"secs": 5}, ["seconds is missing", 'unknown field "secs": did you mean seconds?']),
        ("/v1/runs/a/finish", {"state": "done"}, ["input should be 'finished', 'failed' or 'cancelled'"]),
        (
            "/v1/silences",
            {"matchers": [{"field": "grop", "value": "x"}], "duration_s": 60},
            ["field must be run, group, condition, severity, or tag: and a tag's name"],
        ),
        ("/v1/silences", {"matchers": [{"feld": "x", "field": "run", "value": "x"}]}, ['unknown field "feld"']),
    ],
)
def test_a_body_that_is_not_as_described_is_answered_in_plain_words(
    api: TestClient, path: str, body: dict[str, Any], told: list[str]
) -> None:
    refused = api.post(path, json=body)
    assert refused.status_code == 422
    assert [error["detail"] for error in refused.json()["errors"]] == told
    others = {1: None, 2: "(1 more such place is in errors.)"}[len(told)]
    assert others is None or others in refused.json()["detail"]


def test_a_pause_says_until_when(api: TestClient, run: str) -> None:
    points(api, run, [1.0])
    assert api.post(f"/v1/runs/{run}/pause", json={"seconds": 600}).json()["paused_until"].endswith("Z")
    for bad in ("true", '"600"', "-1", "NaN", "1e12"):
        assert api.post(f"/v1/runs/{run}/pause", content=f'{{"seconds": {bad}}}').status_code == 422


def test_findings_are_acknowledged_and_muted(api: TestClient, run: str) -> None:
    found = diverge(api, run)["findings"][0]["id"]
    (listed,) = api.get(f"/v1/runs/{run}/findings").json()["findings"]
    assert listed["id"] == found
    assert (listed["acknowledged_at"], listed["muted_until"]) == (None, None)
    assert api.post(f"/v1/runs/{run}/findings/{found}/acknowledge").json()["acknowledged_at"] is not None
    assert api.post(f"/v1/runs/{run}/findings/{found}/mute").json()["muted_until"].startswith("9999-")
    hour = api.post(f"/v1/runs/{run}/findings/{found}/mute", json={"seconds": 3600}).json()
    assert not hour["muted_until"].startswith("9999-")
    assert api.get(f"/v1/runs/{run}/findings/{found}").json() == hour


@pytest.mark.parametrize("what", ["", "/acknowledge", "/mute"])
def test_a_finding_that_is_not_there_is_not_found(api: TestClient, run: str, what: str) -> None:
    points(api, run, [1.0])
    answer = api.request("POST" if what else "GET", f"/v1/runs/{run}/findings/f_none{what}")
    assert (answer.status_code, answer.json()["type"]) == (404, "/docs/problems#finding-not-found")


def test_a_resume_from_a_checkpoint_supersedes_what_came_after_it(api: TestClient, run: str) -> None:
    points(api, run, [1.0, 0.9, 0.8, 0.7], writer="w-1")
    assert points(api, run, [0.85, 0.75], first=3, writer="w-2").json()["attempt"] == 2
    read = api.get(f"/v1/runs/{run}/points").json()["points"]
    assert {(p["step"], p["attempt"], p["superseded"]) for p in read} == {
        (1, 1, False), (2, 1, False), (3, 1, True), (4, 1, True), (3, 2, False), (4, 2, False),
    }  # fmt: skip


def test_a_browser_is_led_to_the_page_of_a_run_and_of_the_runs_of_a_sweep(api: TestClient) -> None:
    """What the link in a notification opens."""
    api.post("/v1/runs/page-1/points?project=led", json={"step": 1, "loss": 3.0})
    browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    asked = {"headers": browser, "follow_redirects": False}
    report = api.get("/v1/runs/page-1/report?project=led", **asked)
    assert (report.status_code, report.headers["location"]) == (303, "/runs/page-1?project=led")
    listed = api.get("/v1/runs", params={"group": "page <scan>", "status": "critical"}, **asked)
    assert listed.headers["location"] == "/?status=critical&group=page+%3Cscan%3E"
    for answer in (report, listed):
        assert api.get(answer.headers["location"]).headers["content-type"].startswith("text/html")
    assert api.get("/v1/runs/none/report", **asked).status_code == 404
    assert api.get("/v1/runs/page-1/report?project=led", headers={"Accept": "*/*"}).json()["step"] == 1
