"""What Keras' RemoteMonitor posts; tests/frameworks has the callback itself."""

from __future__ import annotations

import json
import math

import pytest

from compat.conftest import Service

ALL_WAYS = [
    ("/v1/compat/keras/{}", {}),
    ("/v1/compat/keras/{}/publish/epoch/end/", {}),
    ("/v1/compat/keras?run={}", {}),
    ("/v1/compat/keras/publish/epoch/end/", {"X-Losswatch-Run": "{}"}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("path", "headers"), ALL_WAYS, ids=["path", "default path", "query", "header"])
def test_epochs_arrive_whichever_way_the_run_is_named(service: Service, path: str, headers: dict[str, str]) -> None:
    run = f"keras-{ALL_WAYS.index((path, headers))}"
    named = {name: value.format(run) for name, value in headers.items()}
    for epoch in range(6):
        logs = {"epoch": epoch, "loss": 1.0 / (epoch + 1), "val_loss": 1.0, "accuracy": 0.5, "learning_rate": 0.01}
        answer = service.http.post(service.url + path.format(run), data={"data": json.dumps(logs)}, headers=named)
        assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    points = service.points(run)
    assert [point["loss"] for point in points] == [1.0 / (epoch + 1) for epoch in range(6)]
    assert points[5] == {
        "step": 5, "loss": 1.0 / 6, "validation_loss": 1.0, "learning_rate": 0.01, "metrics": {"accuracy": 0.5},
    }  # fmt: skip
    context = service.get(f"/{run}")["context"]
    assert (context["framework"], context["step_unit"]) == ("keras", "epoch")


def test_a_training_that_starts_again_is_a_new_attempt(service: Service) -> None:
    for start in (0.0, 0.5):
        for epoch in range(4):
            values = {"epoch": epoch, "loss": start - 0.1 * epoch}
            assert service.http.post(f"{service.url}/v1/compat/keras/twice", json=values).status_code == 200
    assert service.get("/twice")["attempt"] == 2
    assert [point["loss"] for point in service.points("twice")] == pytest.approx([0.5, 0.4, 0.3, 0.2])


def test_what_is_not_finite_and_a_field_of_another_name_are_taken(service: Service) -> None:
    for epoch in range(3):
        body = {"payload": json.dumps({"epoch": epoch, "loss": math.nan, "val_loss": "Infinity", "none": None})}
        assert service.http.post(f"{service.url}/v1/compat/keras/nan", data=body).status_code == 200
    assert service.points("nan")[-1] == {"step": 2, "loss": "NaN", "validation_loss": "Infinity"}
    assert service.get("/nan/report")["findings"][0]["condition"] == "non_finite"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/run", b"nonsense", 400),
        ("/run", b"data=nonsense", 400),
        ("/run", b"data=%5B1%5D", 422),
        ("/run", b'{"epoch": 1}', 422),
        ("/run", b'{"epoch": 1, "loss": "much"}', 422),
        ("/run", b'{"loss": ' + b"1" * (1 << 20) + b"}", 413),
        ("/.run", b'{"loss": 1}', 422),
        ("", b'{"loss": 1}', 422),
        ("?run=a%20b", b'{"loss": 1}', 422),
        ("/run", b"&".join(b"a%d={" % n for n in range(100)), 400),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(service: Service, path: str, body: bytes, status: int) -> None:
    answer = service.http.post(f"{service.url}/v1/compat/keras{path}", content=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
