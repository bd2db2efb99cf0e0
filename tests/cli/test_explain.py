"""``diagnose --explain``: the numbers behind each finding, as a picture and as JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from losswatch_server.cli.explained import explanation_lines
from losswatch_server.cli.plot import draw
from losswatch_server.monitor.replay import Explanation, Row
from losswatch_server.monitor.vocabulary import Condition


def spiking() -> str:
    losses = [0.3 + 2 * math.exp(-step / 50) + 0.01 * math.sin(7.0 * step) for step in range(300)]
    losses[200:203] = [9.0, 8.0, 7.0]
    return "step,loss\n" + "".join(f"{step},{loss:.5f}\n" for step, loss in enumerate(losses))


def growing() -> str:
    return json.dumps({"points": [{"step": step, "loss": 1.3 * 3.55**step} for step in range(1, 21)]})


def explanations(command: Any, log: str) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = json.loads(command("diagnose", "-", "--json", "--explain", stdin=log).stdout)[
        "explanations"
    ]
    return told


@pytest.mark.parametrize(("log", "condition"), [(spiking(), "loss_spike"), (growing(), "diverging")])
def test_json_explains_every_finding(command, log: str, condition: str) -> None:
    done = command("diagnose", "-", "--json", "--explain", stdin=log)
    report = json.loads(done.stdout, parse_constant=lambda token: pytest.fail(f"bare {token}"))
    assert [told["finding"] for told in report["explanations"]] == [found["id"] for found in report["findings"]]
    told = next(told for told in report["explanations"] if told["condition"] == condition)
    opened = next(row for row in told["values"] if row["step"] == told["opened_step"])
    assert opened["statistic"] > opened["threshold"]


def test_people_get_the_rule_the_numbers_and_a_picture(command) -> None:
    done = command("diagnose", "-", "--explain", "--no-plot", stdin=spiking())
    after = done.stdout.split("loss_spike in loss, explained")[1]
    assert "It alarms when all of these hold" in after
    assert "loss: 9 at step 200; it alarms above" in " ".join(after.split())
    assert "▲ clear at 200" in after
    assert any("\u2801" <= sign <= "\u28ff" for sign in after)


def test_nothing_is_explained_unless_it_is_asked_for(command) -> None:
    assert "explained" not in command("diagnose", "-", stdin=spiking()).stdout
    assert "explanations" not in json.loads(command("diagnose", "-", "--json", stdin=spiking()).stdout)


def test_a_healthy_log_has_nothing_to_explain(command) -> None:
    healthy = "step,loss\n" + "".join(f"{step},{3 / (1 + step):.6f}\n" for step in range(1, 30))
    assert explanations(command, healthy) == []


def test_a_resumed_log_is_explained_as_it_was_judged(command) -> None:
    lines = ["step,loss", *(f"{step},{2 - 0.01 * step:.4f}" for step in range(100))]
    lines += [f"{50 + step},{1.5 * 3.0**step:.4f}" for step in range(12)]
    told = next(t for t in explanations(command, "\n".join(lines) + "\n") if t["condition"] == "diverging")
    assert max(row["step"] for row in told["values"]) == 61


def told_of(rows: list[Row], above: bool = True) -> Explanation:
    return Explanation(
        finding="f",
        condition=Condition.LOSS_SPIKE,
        series="loss",
        rule="A rule.",
        statistic="height",
        unit="sd",
        above=above,
        threshold=1.0,
        values=tuple(rows),
        used=(0, 9),
        onset_step=5,
        opened_step=5,
    )


def test_the_threshold_is_drawn_behind_the_statistic() -> None:
    drawn = draw([0, 1, 2, 3], [0.0, 0.0, 0.0, 0.0], width=10, height=4, limits=[1.0, 1.0, 1.0, 1.0]).plain.split("\n")
    assert drawn[0].startswith("        1 ┤")
    assert set(drawn[0][11:21]) != {" "}
    assert set(drawn[3][11:21]) != {" "}
    assert set(drawn[1][11:21]) == {" "}


def test_a_threshold_that_is_not_there_is_a_gap() -> None:
    limits = [None, None, 1.0, 1.0]
    top = draw([0, 1, 2, 3], [0.0, 0.0, 0.0, 0.0], width=12, height=4, limits=limits).plain.split("\n")[0]
    assert top[11:15] == "    "
    assert top[20:23].strip()


def test_an_absurd_statistic_does_not_flatten_the_picture() -> None:
    rows = [Row(step, None, -1.0 if step < 5 else 1e30, 1.0) for step in range(10)]
    picture = explanation_lines(told_of(rows), width=20).renderables[-1]
    assert str(picture).split("\n")[0].startswith("       10 ┤")


def test_infinite_statistics_and_few_rows_are_told_without_a_fault() -> None:
    for rows in ([], [Row(5, math.nan, math.inf, 1.0)], [Row(4, 1.0, 0.0, 0.0), Row(5, None, math.inf, None)]):
        assert explanation_lines(told_of(rows), width=20).renderables
