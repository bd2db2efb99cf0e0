"""Pictures of runs over HTTP: whole, cheap to ask for again, and drawn from summaries."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image
from starlette.testclient import TestClient

from issued_keys import issue
from losswatch_server.app import create_app
from losswatch_server.runs import walk
from losswatch_server.settings import Settings

KINDS = [("chart.svg", "image/svg+xml"), ("chart.png", "image/png"), ("badge.svg", "image/svg+xml")]


def post(api: TestClient, run: str, losses: list[Any], first: int = 0) -> None:
    points = [{"step": first + step, "loss": loss} for step, loss in enumerate(losses)]
    assert api.post(f"/v1/runs/{run}/points", json={"points": points}).status_code == 200


@pytest.mark.parametrize(("kind", "media_type"), KINDS)
def test_a_picture_is_drawn_and_only_sent_again_when_it_has_changed(
    api: TestClient, run: str, kind: str, media_type: str
) -> None:
    post(api, run, [1.3**step for step in range(40)])
    first = api.get(f"/v1/runs/{run}/{kind}")
    assert (first.status_code, first.headers["content-type"]) == (200, media_type)
    known = {"If-None-Match": first.headers["etag"]}
    assert first.headers["cache-control"] == "no-cache"
    assert api.get(f"/v1/runs/{run}/{kind}?version=7", headers=known).status_code == 304
    post(api, run, ["NaN"], first=40)
    second = api.get(f"/v1/runs/{run}/{kind}", headers=known)
    assert second.status_code == 200
    assert second.content != first.content
    assert api.get(f"/v1/runs/{run}-none/{kind}").json()["type"] == "/docs/problems#run-not-found"


def test_the_svg_says_what_is_wrong_and_allows_nothing(api: TestClient, run: str) -> None:
    post(api, run, [1.3**step for step in range(40)])
    api.post(f"/v1/runs/{run}/finish", json={"state": "failed", "error": "<script>alert(1)</script> & so"})
    answer = api.get(f"/v1/runs/{run}/chart.svg")
    root = ElementTree.fromstring(answer.content)
    words = " ".join(element.text or "" for element in root.iter())
    assert "diverging: began at step" in words
    assert "Failed: <script>alert(1)</script> & so" in words
    assert "<script" not in answer.text
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "sandbox"} <= set(policy)
    badge = api.get(f"/v1/runs/{run}/badge.svg").text
    assert "failed" in badge


def test_the_png_is_one(api: TestClient, run: str) -> None:
    post(api, run, [1.0, 0.5])
    image = Image.open(io.BytesIO(api.get(f"/v1/runs/{run}/chart.png").content))
    assert (image.format, image.size) == ("PNG", (1600, 840))


@pytest.mark.slow
def test_a_long_run_is_drawn_from_summaries(api: TestClient, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for first in range(0, 60_000, 20_000):
        post(api, run, [1.0 + 1 / (1 + first + step) for step in range(20_000)], first)

    async def never(*args: Any, **named: Any) -> Any:
        raise AssertionError("the whole run was read")
        yield

    monkeypatch.setattr(walk, "_windows", never)
    answer = api.get(f"/v1/runs/{run}/chart.svg")
    assert answer.status_code == 200
    assert len(answer.content) < 100_000


def test_a_link_to_a_run_unfurls_with_its_chart(tmp_path: Path) -> None:
    """Chat services read it from the page that the link leads to, where somebody said how people reach the service."""
    for base_url, cards in (
        (None, []),
        ("https://lw.example", ["https://lw.example/v1/runs/a/chart.png?project=default&amp;version=0"]),
    ):
        settings = Settings(data_dir=tmp_path / str(base_url is None), base_url=base_url)
        with TestClient(create_app(settings), "http://localhost") as client:
            client.put("/v1/runs/a", json={})
            page = client.get("/runs/a").text
        assert re.findall(r'property="og:image" content="([^"]+)"', page) == cards


def test_a_link_to_a_run_unfurls_with_what_is_wrong_with_it_unless_keys_keep_that(tmp_path: Path) -> None:
    def said(client: TestClient) -> dict[str, str]:
        return dict(re.findall(r'property="og:(\w+)" content="([^"]+)"', client.get("/runs/a").text))

    settings = Settings(data_dir=tmp_path, base_url="https://lw.example")
    with TestClient(create_app(settings), "http://localhost") as client:
        body = {"points": [{"step": step, "loss": 450 * 3.55**step} for step in range(6)]}
        report = client.post("/v1/runs/a/points", json=body).json()
        card = said(client)
        assert card["title"] == "a: critical"
        assert card["description"] == report["headline"]
        assert card["url"] == "https://lw.example/runs/a?project=default"
        assert card["image"].endswith(f"chart.png?project=default&amp;version={report['version']}"), "no older picture"
    issue(tmp_path)
    with TestClient(create_app(settings), "http://localhost") as client:
        card = said(client)
        assert (card["title"], "description" in card, "image" in card) == ("a", False, False)


def test_a_run_without_points_has_a_picture_too(api: TestClient, run: str) -> None:
    api.put(f"/v1/runs/{run}", json={})
    assert "No points yet" in api.get(f"/v1/runs/{run}/chart.svg").text
    assert "waiting" in api.get(f"/v1/runs/{run}/badge.svg").text
