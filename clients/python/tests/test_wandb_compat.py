"""Scripts that are written for W&B or trackio report as they are, and no call of theirs is an error."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from typing import Any

import pytest
from service_stub import BadService

import losswatch
import losswatch.wandb_compat as wandb


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[BadService]:
    for name in ("WANDB_PROJECT", "WANDB_NAME", "WANDB_MODE", "LOSSWATCH_RUN", "LOSSWATCH_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    with BadService() as stub:
        monkeypatch.setenv("LOSSWATCH_URL", stub.url)
        yield stub
        wandb.finish()
        losswatch.finish()


def context_of(service: BadService) -> dict[str, Any]:
    """All that was said of the job."""
    found: dict[str, Any] = {}
    for request in service.requests:
        found.update(request.json.get("context") or {})
    return found


def test_a_script_for_wandb_is_watched(service: BadService) -> None:
    wandb.login(key="x")
    config = {"lr": 0.1, "batch_size": 32, "model": {"width": 8}}
    run = wandb.init(project="cifar", name="w1", config=config, tags=["a"])
    wandb.watch(object(), log="all")
    assert (run.name, run.id, run.url) == ("w1", "w1", f"{service.url}/runs/w1")
    assert losswatch.current() is run.watched
    for step in range(5):
        wandb.log({"train/loss": 1.0 - 0.1 * step, "train/lr": 0.1, "acc": step, "image": wandb.Image([1]), "s": "x"})
        wandb.config.dropout = 0.5
        wandb.config.update({"optimizer": "adam"})
    wandb.log({"val": {"loss": 2.0}, "nan": math.nan})
    wandb.summary["best"] = 0.9
    wandb.run.summary.update({"worst": 0.1})
    assert (wandb.config["lr"], wandb.config.batch_size, wandb.config.get("no", 7)) == (0.1, 32, 7)
    wandb.finish()
    assert service.stored[1] == {"step": 1, "loss": 0.9, "learning_rate": 0.1, "metrics": {"acc": 1.0}}
    assert service.stored[5] == {"step": 5, "validation_loss": 2.0, "metrics": {"nan": "NaN"}}
    context = context_of(service)
    assert {name: context[name] for name in ("learning_rate", "lr", "batch_size", "group", "optimizer", "dropout")} == {
        "learning_rate": 0.1, "lr": 0.1, "batch_size": 32, "group": "cifar", "optimizer": "adam", "dropout": 0.5,
    }  # fmt: skip
    assert context["model.width"] == 8
    assert service.stored[6] == {"step": 5, "metrics": {"summary.best": 0.9, "summary.worst": 0.1}}
    assert context["tags"] == {"a": ""}
    assert (service.requests[-1].path, service.requests[-1].json["state"]) == ("/v1/runs/w1/finish", "finished")


def test_a_script_for_trackio_is_watched(service: BadService) -> None:
    import losswatch.wandb_compat as trackio

    trackio.init(project="p", name="t1", space_id="me/space", config=argparse.Namespace(lr=0.5), resume="never")
    trackio.log({"loss": 1.0}, step=10)
    trackio.log({"loss": 0.5, "table": trackio.Table(columns=["a"], data=[[1]])}, step=20)
    trackio.alert(title="x", text="y", level=trackio.AlertLevel.WARN)
    trackio.show(project="p")
    trackio.finish()
    assert service.stored == [{"step": 10, "loss": 1.0}, {"step": 20, "loss": 0.5}]
    assert context_of(service)["learning_rate"] == 0.5


def test_steps_count_as_with_wandb(service: BadService) -> None:
    wandb.init(name="w2")
    wandb.log({"loss": 3.0}, commit=False)
    wandb.log({"acc": 1.0})
    wandb.log({"loss": 2.0, "acc": 2.0}, step=7)
    wandb.log({"val_loss": 5.0}, step=7)
    wandb.log({"loss": 9.0, "acc": 9.0}, step=6)  # W&B ignores a step that is passed
    wandb.log({"loss": 1.0})
    wandb.log({"loss": 0.5})
    wandb.finish()
    merged: dict[int, dict[str, Any]] = {}
    for point in service.stored:
        merged.setdefault(point.pop("step"), {}).update(point)
    assert merged == {
        0: {"loss": 3.0, "metrics": {"acc": 1.0}},
        7: {"loss": 2.0, "metrics": {"acc": 2.0}, "validation_loss": 5.0},
        6: {"metrics": {"acc": 9.0}},
        8: {"loss": 1.0},
        9: {"loss": 0.5},
    }


def test_a_step_among_the_numbers_is_the_step(service: BadService) -> None:
    wandb.init(name="w3")
    wandb.define_metric("*", step_metric="updates")
    wandb.define_metric("val/*", step_metric="epoch", summary="min")
    wandb.log({"loss": 1.0, "updates": 100})
    wandb.log({"loss": 0.5, "train/global_step": 200, "epoch": 1})
    wandb.log({"val/loss": 0.25, "epoch": 1, "global_step": 200})
    wandb.finish()
    assert service.stored == [
        {"step": 100, "loss": 1.0},
        {"step": 200, "loss": 0.5, "epoch": 1.0},
        {"step": 200, "validation_loss": 0.25, "epoch": 1.0},
    ]


def test_the_mean_at_the_end_stays_a_metric_and_rules_come_from_the_environment(
    service: BadService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOSSWATCH_METRIC_NAMES", "objective=loss, acc=metric")
    wandb.init(name="w4")
    wandb.log({"objective": 1.0}, step=1)
    wandb.log({"train_loss": 3.0}, step=1)
    wandb.finish()
    assert service.stored == [{"step": 1, "loss": 1.0}, {"step": 1, "metrics": {"train_loss": 3.0}}]


@pytest.mark.parametrize(("code", "state"), [(0, "finished"), (1, "failed"), (None, "finished")])
def test_the_exit_code_is_the_end(service: BadService, code: int | None, state: str) -> None:
    wandb.init(name="w5")
    wandb.log({"loss": 1.0})
    wandb.finish(exit_code=code)
    assert service.requests[-1].json["state"] == state


def test_a_block_that_fails_is_a_run_that_failed(service: BadService) -> None:
    def train() -> None:
        with wandb.init(name="w6") as run:
            run.log({"loss": 1.0})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    assert service.requests[-1].json["state"] == "failed"


@pytest.mark.filterwarnings("error")
def test_no_call_is_an_error(service: BadService) -> None:
    assert wandb.run is None
    wandb.config.setdefaults({"lr": 1.0})
    wandb.log({})  # begins a run
    run = wandb.run
    artifact = wandb.Artifact("model", type="model", metadata={})
    artifact.add_file("no-such-file")
    run.log_artifact(artifact).wait()
    wandb.log_artifact(artifact, aliases=["best"])
    wandb.save("*.pt")
    wandb.unwatch()
    wandb.alert("title", "text", level=wandb.AlertLevel.ERROR)
    with wandb.Api().run("a/b") as other:
        assert list(other.history()) == []
    wandb.sdk.wandb_setup.x.y.z(1, a=2)
    wandb.plot.line(wandb.Table(data=[[1]], columns=["a"]), "a", "b")
    wandb.log({"h": wandb.Histogram([1, 2]), "v": wandb.Video("x"), "l": [1, 2], "o": object(), "t": True, "n": None})
    wandb.log({"loss": "text"}, step="nonsense")
    assert not isinstance(3, wandb.Image)
    assert issubclass(wandb.errors.CommError, Exception)

    @wandb.util.decorated
    def kept() -> int:
        return 7

    assert kept() == 7
    wandb.finish()
    wandb.finish()
    with pytest.raises(AttributeError):
        wandb.__nothing__  # noqa: B018


def test_a_disabled_run_reports_nothing(service: BadService) -> None:
    run = wandb.init(name="w7", mode="disabled")
    wandb.log({"loss": 1.0})
    wandb.config.lr = 0.1
    run.summary["a"] = 1
    assert run.url == ""
    wandb.finish()
    assert service.requests == []
