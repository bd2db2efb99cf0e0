"""A verdict on points and logs that are not kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from losswatch_server.workers import WorkerLostError, Workers

GROWING = [1.3 * 3.55**i for i in range(20)]


def diagnose(api: TestClient, body: Any, **params: str) -> Any:
    content = body if isinstance(body, bytes | str) else json.dumps(body)
    return api.post("/v1/diagnose", content=content, params=params)


POINTS = json.dumps({"points": [{"step": i, "loss": loss} for i, loss in enumerate(GROWING, 1)]})
CSV = "epoch,loss\n" + "".join(f"{i},{loss!r}\n" for i, loss in enumerate(GROWING, 1))
LINES = "".join(json.dumps({"epoch": i, "loss": loss}) + "\n" for i, loss in enumerate(GROWING, 1))
COLUMNS = json.dumps({"loss": GROWING})
CONSOLE = "".join(f"Epoch {i}/20\n1/1 - 0s - loss: {loss:.4f}\n" for i, loss in enumerate(GROWING, 1))


@pytest.mark.parametrize(
    "body", [POINTS, CSV, LINES, COLUMNS, CONSOLE], ids=["json", "csv", "lines", "columns", "keras"]
)
def test_the_same_run_is_diagnosed_in_every_form(api: TestClient, body: str) -> None:
    answer = diagnose(api, body, learning_rate="0.01", optimizer="sgd")
    assert answer.status_code == 200
    verdict = answer.json()
    assert (verdict["status"], verdict["points"]) == ("critical", 20)
    (finding,) = [f for f in verdict["findings"] if f["condition"] == "diverging"]
    assert finding["causes"][0]["cause"] == "learning_rate_too_high"
    assert finding["evidence"]["learning_rate_limit"] == pytest.approx(0.01 * 2 / 2.884, rel=0.05)
    assert (verdict["read"] is None) == (body is POINTS)


def test_the_answer_says_which_lines_were_read_as_what(api: TestClient) -> None:
    read = diagnose(api, "hello\n" + CONSOLE).json()["read"]
    assert read["points"] == 20
    assert read["read_as"]
    assert read["total_lines"] == 41


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [CONSOLE, POINTS, '{"points": [{"step": 1, "losss": 2}]}', '{"points": [{"step": 1}, {"step": -1}]}', "no log\n"],
    ids=["log", "json", "unknown field", "bad step", "unreadable"],
)
def test_what_is_diagnosed_in_a_process_of_its_own_is_answered_alike(
    api: TestClient, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = {"learning_rate": "0.01", "resolution": "5"}
    here = diagnose(api, body, **query)
    monkeypatch.setattr("losswatch_server.api.routes.diagnose.LARGE", 0)
    beside = diagnose(api, body, **query)
    assert (beside.status_code, beside.content) == (here.status_code, here.content)


@pytest.mark.parametrize(("error", "status"), [(WorkerLostError("killed"), 503), (OSError("none can be started"), 200)])
def test_a_diagnosis_whose_process_ends_or_never_begins_is_answered(
    api: TestClient, error: Exception, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(*_: Any) -> Any:
        raise error

    monkeypatch.setattr("losswatch_server.api.routes.diagnose.LARGE", 0)
    monkeypatch.setattr(Workers, "run", run)
    answer = diagnose(api, CONSOLE)
    assert answer.status_code == status
    assert ("Retry-After" in answer.headers) == (status == 503)


def test_nothing_is_stored(api: TestClient) -> None:
    before = api.get("/v1/runs", params={"limit": 500}).json()
    diagnose(api, POINTS)
    assert api.get("/v1/runs", params={"limit": 500}).json() == before


def test_the_context_of_the_query_lies_over_that_of_the_body(api: TestClient) -> None:
    body = {**json.loads(POINTS), "context": {"learning_rate": 0.5, "optimizer": "sgd"}}
    advised = diagnose(api, body, learning_rate="0.01").json()["findings"][0]["advice"][0]
    assert advised["current"] == 0.01


def test_a_log_that_steps_back_is_judged_by_its_last_attempt(api: TestClient) -> None:
    log = "step,loss\n" + "".join(f"{i},{loss!r}\n" for i, loss in enumerate(GROWING, 1))
    log += "".join(f"{i},{1.0 / i!r}\n" for i in range(1, 30))
    verdict = diagnose(api, log).json()
    assert (verdict["attempt"], verdict["status"], verdict["points"]) == (2, "healthy", 29)


def console(epochs: range, start: float = 1.0, *, repeated: int = 1) -> str:
    return repeated * "".join(f"Epoch {i}/{epochs[-1]} - loss: {start / i:.4f}\n" for i in epochs)


@pytest.mark.parametrize(
    ("log", "trainings"),
    [
        (console(range(1, 9), repeated=3), 3),
        (console(range(5, 9), repeated=2), 2),
        (console(range(1, 9)) + console(range(5, 12)), 1),
        (console(range(1, 9)) + console(range(5, 12)) + console(range(1, 7)), 2),
    ],
    ids=["three from the start", "two excerpts", "resumed", "resumed, then another"],
)
def test_a_log_of_several_trainings_says_how_many_and_which_is_judged(
    api: TestClient, log: str, trainings: int
) -> None:
    verdict = diagnose(api, log).json()
    said = [note for note in verdict["notes"] if "trainings follow one another" in note]
    assert bool(said) == (trainings > 1)
    if said:
        assert said[0].startswith(f"{trainings} trainings follow")
        assert f"The last one, {verdict['points']} points, is judged" in said[0]


def test_the_ranks_of_one_step_are_points_of_their_own(api: TestClient) -> None:
    ranks = [{"step": i // 2, "loss": 1.0, "rank": i % 2} for i in range(20)]
    assert diagnose(api, {"points": ranks}).json()["points"] == 10


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ("", 400, "malformed-body"),
        ("no numbers here", 422, "unreadable-log"),
        ("\x00\x01\x02", 422, "unreadable-log"),
        ("[]", 422, "unreadable-log"),
        ("[" * 100_000, 422, "unreadable-log"),
        ('{"step": true}', 422, "invalid-body"),
        ('{"points": [{"step": 1, "loss": 1}, {"step": 1, "loss": 2}]}', 422, "invalid-body"),
    ],
)
def test_what_cannot_be_read_is_told(api: TestClient, body: str, status: int, kind: str) -> None:
    answer = diagnose(api, body)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/docs/problems#{kind}")


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("learning_rat", "0.1", "did you mean learning_rate?"),
        ("batch_size", "many", "batch_size"),
        ("nesterov", "?", "true or false"),
    ],
)
def test_a_misspelt_parameter_is_told(api: TestClient, name: str, value: str, hint: str) -> None:
    answer = diagnose(api, POINTS, **{name: value})
    assert answer.status_code == 422
    assert hint in answer.json()["detail"]


TWO_LOSSES = "".join(f"step {i} loss_a: {3 / i:.3f} loss_b: {2 / i:.3f}\n" for i in range(1, 30))


def test_a_reading_in_doubt_is_never_called_healthy(api: TestClient) -> None:
    verdict = diagnose(api, TWO_LOSSES).json()
    assert (verdict["status"], verdict["action"]) == ("waiting", "look")
    assert "'loss_a' was read as the loss; 'loss_b' could be it as well" in verdict["headline"]
    (doubt,) = verdict["read"]["doubts"]
    assert "say loss_column=loss_b (--loss-column 'loss_b') if that is wrong" in doubt


def test_a_column_that_a_person_names_is_read(api: TestClient) -> None:
    verdict = diagnose(api, TWO_LOSSES, loss_column="loss_b", step_column="step").json()
    assert (verdict["status"], verdict["read"]["doubts"]) == ("healthy", [])
    assert verdict["read"]["read_as"][0] == "'loss_b' as loss (29 values)"


def test_a_column_that_is_not_there_is_told(api: TestClient) -> None:
    answer = diagnose(api, TWO_LOSSES, loss_column="total")
    assert (answer.status_code, answer.json()["type"]) == (422, "/docs/problems#unreadable-log")
    assert "there are: 'step', 'loss_a', 'loss_b'" in answer.json()["detail"]


def test_several_runs_in_one_text_get_a_report_each(api: TestClient) -> None:
    fine = "".join(f"step {i} loss {1 / i}\n" for i in range(1, 25))
    bad = "".join(f"step {i} loss {loss!r}\n" for i, loss in enumerate(GROWING, 1))
    verdict = diagnose(api, f"run one:\n{fine}run two:\n{bad}").json()
    assert [(report["run"], report["status"]) for report in verdict["reports"]] == [
        ("run one", "healthy"),
        ("run two", "critical"),
    ]
    assert (verdict["run"], verdict["status"], verdict["points"]) == ("run two", "critical", 20)
    assert all(report["read"]["points"] in (20, 24) for report in verdict["reports"])
    assert "reports" not in diagnose(api, fine).json()


def test_a_boxed_number_of_r_is_called_a_list(api: TestClient) -> None:
    refused = diagnose(api, '{"points": [{"step": [1], "loss": [0.5]}]}').json()
    assert [error["pointer"] for error in refused["errors"]] == ["/points/0/step", "/points/0/loss"]
    assert all("is a list" in error["detail"] and "auto_unbox" in error["detail"] for error in refused["errors"])


def test_a_diagnosis_brings_its_points_where_they_are_asked_for(api: TestClient) -> None:
    log = "step,loss\n" + "".join(f"{n},{1 + 1 / n}\n" for n in range(1, 501))
    assert "series" not in api.post("/v1/diagnose", content=log).json()
    whole = api.post("/v1/diagnose?resolution=1000", content=log).json()["series"]
    assert [point["step"] for point in whole] == list(range(1, 501))
    assert len(api.post("/v1/diagnose?resolution=50", content=log).json()["series"]) < 200
    for wrong in ("1", "x", "1e3", "100001"):
        assert api.post(f"/v1/diagnose?resolution={wrong}", content=log).status_code == 422


@pytest.mark.parametrize(("scale", "suspected"), [("1.0", False), ("0.25", True)])
def test_a_loss_scale_of_one_is_that_of_a_log_that_scales_nothing(api: TestClient, scale: str, suspected: bool) -> None:
    log = "".join(
        f" iteration {i}/ 9000 | learning rate: 1.0E-04 | lm loss: {2 + 8 / i:.4E} | loss scale: {scale} |\n"
        for i in range(1, 25)
    )
    verdict = diagnose(api, log).json()
    assert any(s["condition"] == "non_finite" for s in verdict["suspicions"]) == suspected
