"""A script for W&B with one changed import, at a real service."""

from __future__ import annotations

import pytest

from compat.conftest import Service
from losswatch import wandb_compat as wandb


def test_a_script_for_wandb_arrives_whole(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOSSWATCH_URL", service.url)
    run = wandb.init(project="default", id="by-wandb", config={"lr": 0.1, "group": "sweep"}, tags=["nightly"])
    for step in range(50):
        run.log({"train/loss": 1.0 / (1 + step), "lr": 0.1, "accuracy": step / 50})
    run.log({"train/loss": float("nan")})
    run.finish()
    points = service.points("by-wandb")
    assert [point["loss"] for point in points] == [*(1.0 / (1 + step) for step in range(50)), "NaN"]
    assert points[7] == {"step": 7, "loss": 1.0 / 8, "learning_rate": 0.1, "metrics": {"accuracy": 7 / 50}}
    found = service.get("/by-wandb")
    assert (found["state"], found["context"]["learning_rate"]) == ("finished", 0.1)
    assert service.get("/by-wandb/report")["findings"][0]["condition"] == "non_finite"
