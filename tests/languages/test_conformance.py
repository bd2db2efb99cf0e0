"""One conversation with the service that every client has: the same ten calls in each language, in its own runtime.

A driver for each language lies beside this file. A client whose runtime is missing is named and
skipped; CI installs them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.conftest import serving
from issued_keys import issue
from languages.lossy_proxy import LossyProxy
from losswatch_server.app import create_app
from losswatch_server.keys import Scope
from losswatch_server.settings import Settings

ROOT = Path(__file__).parents[2]
DRIVERS = "tests/languages"
NOWHERE = "http://127.0.0.1:9"
PATIENCE_S = 120


def node() -> str | None:
    """Node 18 or newer."""
    found = shutil.which("node")
    said = "" if found is None else subprocess.run([found, "--version"], capture_output=True, text=True).stdout
    return found if said and int(re.sub(r"^v(\d+).*", r"\1", said)) >= 18 else None


def r_with(*packages: str) -> str | None:
    """R with these packages."""
    found = shutil.which("Rscript")
    if found is None:
        return None
    code = "; ".join(f"library({package})" for package in packages)
    return found if subprocess.run([found, "-e", code], capture_output=True).returncode == 0 else None


def shell_with_curl() -> str | None:
    return shutil.which("sh") if shutil.which("curl") else None


CLIENTS: dict[str, Any] = {
    "shell": (shell_with_curl, "sh and curl", [f"{DRIVERS}/driver.sh"]),
    "javascript": (node, "Node 18", [f"{DRIVERS}/driver.mjs"]),
    "r": (lambda: r_with("jsonlite", "curl"), "R with jsonlite and curl", [f"{DRIVERS}/driver.R"]),
    "julia": (lambda: shutil.which("julia"), "Julia", [f"{DRIVERS}/driver.jl"]),
    "r-by-program": (lambda: r_with("jsonlite"), "R with jsonlite", [f"{DRIVERS}/driver.R", "--by-program"]),
}


@pytest.fixture(scope="module", params=CLIENTS)
def command(request: pytest.FixtureRequest) -> list[str]:
    """How the driver of a language is started."""
    runtime, name, arguments = CLIENTS[request.param]
    found = runtime()
    if found is None:
        pytest.skip(f"{name} is not installed")
    return [found, *arguments]


class Service:
    """A service with keys: one that may only write and read, as a training has."""

    def __init__(self, data: Path) -> None:
        self.key = issue(data, {"training": ("default", [Scope.INGEST, Scope.READ])})["training"]
        self.app = create_app(Settings(data_dir=data))
        self.url = ""

    def get(self, path: str) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.get(f"{self.url}/v1/runs/{path}", headers=headers, timeout=60).raise_for_status().json()

    def drive(
        self, command: list[str], scenario: str, run: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """What a driver prints; it must end well."""
        given = {name: value for name, value in os.environ.items() if not name.startswith("LOSSWATCH_")}
        given |= {"LOSSWATCH_URL": self.url, "LOSSWATCH_API_KEY": self.key} | environment
        done = subprocess.run(
            [*command, scenario, run], cwd=ROOT, env=given, capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert done.returncode == 0, done.stderr
        return done


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    found = Service(tmp_path_factory.mktemp("clients"))
    with serving(found.app) as (host, port):
        found.url = f"http://{host}:{port}"
        yield found


def name_of(command: list[str], scenario: str) -> str:
    return "-".join([Path(command[1]).suffix[1:].lower(), *(word.strip("-") for word in command[2:]), scenario])


pytestmark = pytest.mark.slow


def test_a_run_is_told_to_stop_and_has_its_points_its_context_and_its_end(service: Service, command: list[str]) -> None:
    run = name_of(command, "story")
    with LossyProxy(service.url) as proxy:
        done = service.drive(command, "story", run, LOSSWATCH_URL=proxy.url)
    assert done.stderr == ""
    stopped, state = done.stdout.split("\n")[:2]
    assert re.fullmatch(r"stopped at \d+", stopped)
    assert state == "failed"
    last = int(stopped.rpartition(" ")[2])
    points = service.get(f"{run}/points")["points"]
    assert [point["step"] for point in points] == list(range(last + 1))
    assert [point["loss"] for point in points] == pytest.approx(
        [450 * 3.55**step for step in range(last + 1)], rel=1e-12
    )
    assert points[0]["grad_norm"] == 1.5
    context = service.get(run)["context"]
    assert {name: context[name] for name in ("learning_rate", "optimizer", "batch_size")} == {
        "learning_rate": 0.01,
        "optimizer": "sgd",
        "batch_size": 20,
    }
    report = service.get(f"{run}/report")
    assert (report["state"], report["action"], report["attempt"]) == ("failed", "stop", 1)
    posted = [json.loads(body) for path, _, body in proxy.seen if path.endswith("/points")]
    assert max(len(one["points"]) for one in posted) >= 3, "the batch went as one"
    assert len({one["writer"] for one in posted}) == 1
    assert {headers.get("authorization") for _, headers, _ in proxy.seen} == {f"Bearer {service.key}"}


def test_numbers_that_are_not_finite_arrive_as_what_they_are(service: Service, command: list[str]) -> None:
    run = name_of(command, "odd")
    assert service.drive(command, "odd", run).stderr == ""
    losses = [point["loss"] for point in service.get(f"{run}/points")["points"]]
    assert losses == ["NaN", "Infinity", "-Infinity", 0.1 + 0.2]
    assert service.get(run)["state"] == "finished"


def test_a_point_that_is_refused_is_named_and_the_script_goes_on(service: Service, command: list[str]) -> None:
    run = name_of(command, "refused")
    done = service.drive(command, "refused", run)
    assert done.stdout.endswith("went on\n")
    assert "step" in done.stderr
    assert [point["step"] for point in service.get(f"{run}/points")["points"]] == [0]


def test_a_key_that_is_wrong_is_said_and_costs_no_training(service: Service, command: list[str]) -> None:
    done = service.drive(command, "train", name_of(command, "key"), LOSSWATCH_API_KEY="lw_nonsense")
    assert done.stdout == "trained\n"
    assert "API key" in done.stderr


def test_what_a_network_loses_arrives_once(service: Service, command: list[str]) -> None:
    run = name_of(command, "lost")
    with LossyProxy(service.url, ["503", "lost", "lost"]) as proxy:
        done = service.drive(command, "train", run, LOSSWATCH_URL=proxy.url, PATIENCE_S="60")
    assert done.stdout == "trained\n"
    report = service.get(f"{run}/report")
    assert (report["points"], report["attempt"], report["state"]) == (3, 1, "finished")
    posted = [json.loads(body)["points"] for path, _, body in proxy.seen if path.endswith("/points")]
    assert sum(map(len, posted)) > 3, "something was sent again"


def test_a_service_that_is_away_costs_a_line_and_no_training(service: Service, command: list[str]) -> None:
    done = service.drive(command, "train", name_of(command, "away"), LOSSWATCH_URL=NOWHERE, PATIENCE_S="1")
    assert done.stdout == "trained\n"
    assert done.stderr.startswith("losswatch: ")
    assert NOWHERE in done.stderr
    assert done.stderr.count("\n") <= 3
