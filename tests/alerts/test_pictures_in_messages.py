"""Pictures in messages: where the receiver can fetch them, or in the message itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from alerts import rules
from alerts.messages import AT, GROUP, OPENED
from alerts.test_channels import LINKS, receiving, rendered, send
from house import House
from losswatch_server.alerts.channels import email
from losswatch_server.alerts.channels.channel import Links
from losswatch_server.alerts.charts import Charts
from losswatch_server.alerts.egress.retry import Result
from losswatch_server.monitor.points import Point


@pytest.mark.parametrize(
    "base",
    ["http://losswatch.example.org", "https://10.0.0.7", "https://localhost:8000", "https://losswatch", None,
     "https://losswatch.internal", "https://[::1]", "https://169.254.169.254"],
)  # fmt: skip
def test_a_picture_that_the_receiver_cannot_fetch_is_not_named(base: str | None) -> None:
    links = Links(base)
    for kind in ("slack", "discord", "teams", "pagerduty"):
        assert "chart.png" not in json.dumps(rendered(kind, OPENED, links))
        assert "chart.png" in json.dumps(rendered(kind, OPENED, LINKS))
        assert "chart.png" not in json.dumps(rendered(kind, GROUP, LINKS)), "several runs have none"
    assert LINKS.picture(OPENED) == f"https://losswatch.example.org/v1/runs/keras-demo/chart.png?version={AT:.0f}"


@pytest.mark.slow
def test_slack_gets_the_message_without_the_picture_that_it_could_not_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetches_nothing(body: bytes) -> None:
        assert b"image_url" not in body, "downloading image failed"

    monkeypatch.setitem(rules.BY_KIND, "slack", fetches_nothing)
    with receiving("slack") as receiver:
        assert send("slack", OPENED, receiver.url).result is Result.DELIVERED
        assert (len(receiver.taken), len(receiver.wrong)) == (1, 1)


def test_a_mail_carries_its_picture() -> None:
    picture = b"\x89PNG of a chart"
    mail = email.payload(OPENED, LINKS, "watch@example.org", ["a@example.org"], picture)
    html = mail.get_body(("html",))
    assert html is not None
    assert 'src="cid:chart@losswatch"' in html.get_content()
    (image,) = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert (image["content-id"], image.get_content()) == ("<chart@losswatch>", picture)
    assert mail.get_body(("plain",)) is not None
    without = email.payload(OPENED, LINKS, "watch@example.org", ["a@example.org"])
    assert "<img" not in str(without)


def test_the_chart_of_a_message_is_drawn_from_its_run(tmp_path: Path) -> None:
    house = House(tmp_path / "data")
    try:
        house.record([Point(step, loss=1.3**step) for step in range(40)], None, "w", "keras-demo")
        charts = Charts(house.runs)
        drawn = house.do(charts.draw(OPENED))
        assert drawn is not None
        assert drawn.startswith(b"\x89PNG")
        assert house.do(charts.draw(GROUP)) is None
        gone = replace(OPENED, entries=(replace(OPENED.lead, run="deleted"),))
        assert house.do(charts.draw(gone)) is None
    finally:
        house.close()
