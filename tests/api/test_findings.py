"""Findings of one run and of all runs of a project; taking one off the alarm, and putting it back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from losswatch_server.app import create_app
from losswatch_server.settings import Settings

GROWING = [1.3 * 3.55**i for i in range(20)]
STUCK = [0.6931 for _ in range(60)]
FALLING = [2.0 / (1 + i) for i in range(20)]


def post(api: TestClient, project: str, run: str, losses: list[Any], first: int = 1) -> dict[str, Any]:
    listed = [{"step": first + i, "loss": loss} for i, loss in enumerate(losses)]
    answer = api.post(f"/v1/runs/{run}/points", params={"project": project}, json={"points": listed})
    report: dict[str, Any] = answer.json()
    return report


def found(api: TestClient, project: str, **params: Any) -> list[dict[str, Any]]:
    answer = api.get("/v1/findings", params={"project": project, **params})
    assert answer.status_code == 200, answer.text
    listed: list[dict[str, Any]] = answer.json()["findings"]
    return listed


def runs_of(listed: list[dict[str, Any]]) -> list[str]:
    return [finding["run"] for finding in listed]


def test_what_is_wrong_in_any_run_is_listed_the_latest_first(api: TestClient, project: str) -> None:
    post(api, project, "diverges", GROWING)
    post(api, project, "is-stuck", STUCK)
    post(api, project, "is-well", FALLING)
    post(api, project, "had-a-nan", [2.0, "NaN", *FALLING])
    assert runs_of(found(api, project)) == ["had-a-nan", "is-stuck", "diverges"]
    assert runs_of(found(api, project, state="open")) == ["is-stuck", "diverges"]
    assert runs_of(found(api, project, state="closed")) == ["had-a-nan"]
    assert runs_of(found(api, project, state="open", severity="critical")) == ["diverges"]
    assert runs_of(found(api, project, condition="not_learning")) == ["is-stuck"]
    assert found(api, f"{project}-other") == []


def test_a_finding_is_the_same_in_the_list_of_all_runs_and_in_its_own(api: TestClient, project: str) -> None:
    uid = post(api, project, "diverges", GROWING[:8])["uid"]
    post(api, project, "diverges", GROWING[8:], first=9)
    (listed,) = found(api, project)
    assert listed["last_step"] == 20, "open findings are as the latest report has them, not as they opened"
    whose = {"run": "diverges", "project": project, "uid": uid}
    (own,) = api.get("/v1/runs/diverges/findings", params={"project": project}).json()["findings"]
    assert listed == {**own, **whose}


def test_the_findings_of_a_deleted_run_are_gone(api: TestClient, project: str) -> None:
    post(api, project, "diverges", GROWING)
    api.delete("/v1/runs/diverges", params={"project": project})
    assert found(api, project) == []


def target(number: int) -> dict[str, Any]:
    """A target that hears of nothing that these tests do."""
    return {"kind": "webhook", "url": f"https://1.1.1.1/{number}", "conditions": ["run.cancelled"]}


def pages(api: TestClient, url: str, what: str) -> Iterator[list[dict[str, Any]]]:
    """Every page, by its Link, which must lead where the cursor leads."""
    while url:
        answer = api.get(url)
        yield answer.json()[what]
        following = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
        cursor = answer.json()["next_cursor"]
        assert (following == "") == (cursor is None)
        assert cursor is None or f"cursor={cursor}" in following
        url = following


def test_every_list_comes_in_pages_that_lead_on(api: TestClient, project: str) -> None:
    for i in range(5):
        post(api, project, f"run-{i}", GROWING)
    spikes = [value for _ in range(3) for value in [*[1.0, 0.99, 1.01, 1.0] * 10, "NaN"]]
    post(api, project, "many", [*spikes, 1.0])
    at = f"project={project}&limit=2"
    url = f"/v1/findings?{at}&severity=critical&condition=diverging"
    assert [runs_of(page) for page in pages(api, url, "findings")] == [
        ["run-4", "run-3"],
        ["run-2", "run-1"],
        ["run-0"],
    ]
    own = list(pages(api, f"/v1/runs/many/findings?{at}", "findings"))
    assert len(own) > 1
    whole = api.get("/v1/runs/many/findings", params={"project": project}).json()
    assert ([finding for page in own for finding in page], None) == (whole["findings"], whole["next_cursor"])
    for i in range(3):
        api.post("/v1/targets", params={"project": project}, json=target(i))
        body = {"matchers": [{"field": "run", "value": str(i)}], "duration_s": 60}
        api.post("/v1/silences", params={"project": project}, json=body)
    for what in ("targets", "silences"):
        sizes = [len(page) for page in pages(api, f"/v1/{what}?{at}", what)]
        assert sizes == [2, 1], what


def test_a_page_moves_nothing_when_something_is_added_or_removed_meanwhile(api: TestClient, project: str) -> None:
    at = {"project": project}
    made = []
    for i in range(4):
        body = {"matchers": [{"field": "run", "value": str(i)}], "duration_s": 60}
        made.append(api.post("/v1/silences", params=at, json=body).json()["id"])
    first = api.get("/v1/silences", params={**at, "limit": 2}).json()
    api.post("/v1/silences", params=at, json={"matchers": [{"field": "run", "value": "new"}], "duration_s": 60})
    rest = api.get("/v1/silences", params={**at, "cursor": first["next_cursor"]}).json()
    assert [silence["id"] for silence in first["silences"] + rest["silences"]] == made[::-1]


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/v1/findings", "/v1/runs/{run}/findings", "/v1/targets", "/v1/silences"])
@pytest.mark.parametrize(
    "cursor",
    ["made-up", "WzFd", "W10", "MQ", "WyJhIiwgMiwgM10", "W251bGwsIG51bGxd", "\ud800".encode("utf-8", "surrogatepass")],
)
def test_a_cursor_that_was_made_up_is_refused_by_its_name(api: TestClient, run: str, path: str, cursor: Any) -> None:
    api.post(f"/v1/runs/{run}/points", json={"points": [{"step": i, "loss": x} for i, x in enumerate(GROWING)]})
    api.post("/v1/targets", json=target(0))
    api.post("/v1/silences", json={"matchers": [{"field": "run", "value": "x"}], "duration_s": 60})
    answer = api.get(path.replace("{run}", run), params={"cursor": cursor})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "cursor")


def test_an_acknowledgement_and_a_mute_can_be_taken_back(api: TestClient, project: str) -> None:
    at = {"project": project}
    finding = post(api, project, "diverges", GROWING)["findings"][0]["id"]
    path = f"/v1/runs/diverges/findings/{finding}"
    assert api.post(f"{path}/acknowledge", params=at).json()["acknowledged_at"] is not None
    assert api.delete(f"{path}/acknowledge", params=at).json()["acknowledged_at"] is None
    assert api.delete(f"{path}/acknowledge", params=at).status_code == 200, "idempotent"
    assert api.post(f"{path}/mute", params=at).json()["muted_until"].startswith("9999-")
    unmuted = api.delete(f"{path}/mute", params=at).json()
    assert (unmuted["muted_until"], unmuted) == (None, api.get(path, params=at).json())
    ended = api.post(f"{path}/mute", params=at, json={"seconds": 0}).json()
    assert not ended["muted_until"].startswith("9999-"), "a mute of 0 seconds still ends one"
    missing = api.delete("/v1/runs/diverges/findings/f_none/mute", params=at)
    assert (missing.status_code, missing.json()["type"]) == (404, "/docs/problems#finding-not-found")


def test_a_damaged_finding_is_listed_by_what_can_be_read_of_it(tmp_path: Path) -> None:
    with TestClient(create_app(Settings(data_dir=tmp_path)), "http://localhost") as api:
        post(api, "default", "diverges", GROWING)
        post(api, "default", "diverges-too", GROWING)
    database = next(tmp_path.glob("*.sqlite3"))
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE finding SET body = 'x' WHERE uid = (SELECT uid FROM run WHERE name = 'diverges')")
        connection.execute("UPDATE run SET detection_version = 99 WHERE name = 'diverges'")
    with TestClient(create_app(Settings(data_dir=tmp_path)), "http://localhost") as api:
        listed = found(api, "default", limit=1)
        assert runs_of(listed) == ["diverges-too"]
        (damaged,) = [finding for finding in found(api, "default") if finding["run"] == "diverges"]
        assert (damaged["condition"], damaged["severity"]) == ("diverging", "critical")


def test_listing_open_findings_reads_an_index_and_no_closed_one(tmp_path: Path) -> None:
    with TestClient(create_app(Settings(data_dir=tmp_path)), "http://localhost"):
        pass
    with sqlite3.connect(next(tmp_path.glob("*.sqlite3"))) as connection:
        for where, index in (("AND f.closed_by IS NULL", "open_finding_by_time"), ("", "finding_by_time")):
            plan = connection.execute(
                "EXPLAIN QUERY PLAN SELECT f.id FROM finding f JOIN run r ON r.project = f.project AND r.uid = f.uid "
                f"WHERE f.project = 'p' {where} ORDER BY f.opened_at DESC, f.uid DESC, f.id DESC LIMIT 50"
            ).fetchall()
            assert index in plan[0][3], plan
            assert not any("TEMP B-TREE" in step[3] for step in plan)
