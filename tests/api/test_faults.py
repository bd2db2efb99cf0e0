"""A bug in a rule over HTTP: the points are stored, the answer says what failed, and the run goes on."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from losswatch_server.monitor import diagnoses, report, siblings
from losswatch_server.monitor.replay import probe
from losswatch_server.monitor.rules.diverging import Diverging
from losswatch_server.monitor.rules.loss_spike import LossSpike


class BrokenRuleError(Exception):
    """Of a kind that no other test raises: it is logged once a process."""


def broken(*_: Any, **__: Any) -> Any:
    raise BrokenRuleError("a bug")


def post(api: TestClient, run: str, first: int, losses: list[Any], **context: Any) -> dict[str, Any]:
    listed = [{"step": 10 * (first + i), "loss": loss} for i, loss in enumerate(losses)]
    answer = api.post(f"/v1/runs/{run}/points", json={"points": listed, "context": context})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def counted(api: TestClient, part: str, of: str) -> float:
    line = rf'^losswatch_judgement_faults_total\{{error="BrokenRuleError",of="{of}",part="{part}"\}} (\S+)$'
    found = re.search(line, api.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_a_rule_that_fails_costs_no_run(
    api: TestClient, run: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Diverging, "step", broken)
    before = counted(api, "rule", "diverging/loss")
    for i, loss in enumerate([2.0, 1.9, 1.8, 1.7, 1.6, 1.5, "NaN", "NaN", "NaN"]):
        told = post(api, run, i, [loss])
        (note,) = [note for note in told["notes"] if "fault of Losswatch" in note]
        assert "diverging/loss" in note
        assert "BrokenRuleError" in note
    assert [f["condition"] for f in told["findings"]] == ["non_finite"]
    assert counted(api, "rule", "diverging/loss") == before + 9
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert "in broken" in errors[0].getMessage()
    assert run in errors[0].getMessage()
    monkeypatch.undo()
    told = post(api, run, 9, [1.5 * 1.6**i for i in range(20)])
    assert "diverging" in [f["condition"] for f in told["findings"]]
    assert told["points"] == 29


@pytest.mark.parametrize(
    ("module", "name", "part"),
    [
        (report.engine, "rank", "causes"),
        (report.advice, "advise", "advice"),
        (diagnoses, "summary", "sentence"),
    ],
)
def test_a_finding_is_told_although_what_is_said_of_it_fails(
    api: TestClient, run: str, module: Any, name: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, broken)
    told = post(api, run, 0, [1.3 * 3.55**i for i in range(20)])
    (found,) = told["findings"]
    assert found["condition"] == "diverging"
    assert found["summary"]
    assert any("fault of Losswatch" in note for note in told["notes"])
    assert counted(api, part, "diverging/loss") > 0
    assert post(api, run, 20, [1.0])["points"] == 21


def test_an_explanation_and_a_comparison_that_fail_say_so(
    api: TestClient, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = post(api, run, 0, [1.3 * 3.55**i for i in range(20)], group=run)["findings"]
    post(api, f"{run}-other", 0, [1.0] * 20, group=run)
    monkeypatch.setattr(probe, "Row", broken)
    monkeypatch.setattr(siblings, "_sentence", broken)
    explained = api.get(f"/v1/runs/{run}/findings/{found['id']}/explain")
    assert explained.status_code == 200
    assert "fault of Losswatch" in explained.json()["rule"]
    compared = api.get(f"/v1/runs/{run}/siblings")
    assert compared.status_code == 200
    assert "fault of Losswatch" in compared.json()["sentence"]
    assert counted(api, "explanation", "diverging/loss") > 0


def test_a_diagnosis_says_what_failed(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LossSpike, "step", broken)
    body = {"points": [{"step": i, "loss": 2.0 - 0.01 * i} for i in range(20)]}
    answer = api.post("/v1/diagnose", json=body)
    assert answer.status_code == 200
    assert any("loss_spike/loss" in note for note in answer.json()["notes"])
    assert counted(api, "rule", "loss_spike/loss") == 20


@pytest.mark.slow
@pytest.mark.parametrize(
    "losses",
    [
        [2.4, 2.2, 2.0, 1.9, 9.4, 1.9, 1.8],
        [0.0003, 0.0004, 0.0005, 0.0006, 0.0007, 0.0008, 0.0009, 0.001, 0.0011, 0.0012],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.31, 0.0, 0.0, 0.0, 0.0],
        [*[0.0] * 50, 0.31, *[0.0] * 5],
    ],
    ids=["a jump within the first eight", "a rise by a printed increment", "a jump from exactly 0", "a late one"],
)
def test_spaced_series_that_no_rule_was_made_for_are_judged(api: TestClient, run: str, losses: list[float]) -> None:
    for i, loss in enumerate(losses):
        assert post(api, run, i, [loss])["notes"] == []
