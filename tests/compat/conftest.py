"""A real service for the real clients of other tools."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from api.conftest import serving
from losswatch_server.app import create_app
from losswatch_server.settings import Settings

if TYPE_CHECKING:
    from postgres import PostgresServer

os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"


@dataclass(frozen=True)
class Service:
    """A running service, read through its own interface."""

    url: str
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60, trust_env=False))
    """One for all requests: making one costs more than most of them."""

    def get(self, path: str, project: str = "default") -> Any:
        answer = self.http.get(f"{self.url}/v1/runs{path}", params={"project": project})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def points(self, run: str, project: str = "default") -> list[dict[str, Any]]:
        """What stands of the run, without what the service adds to a point."""
        found = self.get(f"/{run}/points", project)["points"]
        return [
            {name: value for name, value in point.items() if name not in ("attempt", "superseded", "time")}
            for point in found
            if not point["superseded"]
        ]


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str | None:
    """The address of a new PostgreSQL database; None for SQLite in the data folder."""
    if request.param == "sqlite":
        return None
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url()


@pytest.fixture(scope="session")
def service(database: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("compat"), database=database, metric_names="objective=loss, other:acc=loss"
    )
    with serving(create_app(settings)) as (host, port):
        service = Service(f"http://{host}:{port}")
        yield service
        service.http.close()
