"""Retention and the end of a project, over the API and by the command line."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from api.test_keys import Locked
from cli.conftest import Command, command
from cli.test_serve import Start, address_of, start
from losswatch_server.app import create_app
from losswatch_server.settings import Settings

__all__ = ["command", "start"]
POINT = {"points": [{"step": 0, "loss": 1.0}], "writer": "job"}


def test_a_project_is_given_a_policy_and_the_services_again(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", delete_after_days=90.0)
    of_the_service = {
        "project": "p",
        "source": "service",
        "thin_after_days": None,
        "thin_to_points": 2000,
        "delete_after_days": 90.0,
        "max_mib": None,
    }
    with TestClient(create_app(settings), "http://localhost") as api:
        assert api.get("/v1/retention?project=p").json() == of_the_service
        asked = {"thin_after_days": 3, "thin_to_points": 500, "max_mib": 10.5}
        own = {**of_the_service, **asked, "source": "project", "delete_after_days": None}
        assert api.put("/v1/retention?project=p", json=asked).json() == own
        assert api.get("/v1/retention?project=p").json() == own
        assert api.get("/v1/retention?project=q").json()["source"] == "service"
        for wrong in ({"thin_after_days": -1}, {"days": 1}, {"thin_to_points": 1}, {"max_mib": "10"}, []):
            assert api.put("/v1/retention?project=p", json=wrong).status_code == 422, wrong
        assert api.delete("/v1/retention?project=p").json() == of_the_service


def test_who_erases_a_project_ends_its_keys_and_no_others(tmp_path: Path) -> None:
    locked = Locked(tmp_path)
    with locked.client:
        for who in ("ingest", "other"):
            assert locked(who, "POST", "/v1/runs/r/points", json=POINT).status_code == 200
        for who, status in (("read", 403), ("ingest", 403), ("other", 404)):
            assert locked(who, "DELETE", "/v1/projects/a").status_code == status
        assert locked("read", "GET", "/v1/runs/r").status_code == 200
        assert locked("admin", "DELETE", "/v1/projects/a").status_code == 204
        for who in ("admin", "read", "ingest"):
            assert locked(who, "GET", "/v1/runs").status_code == 401
        assert locked(None, "GET", "/v1/runs").status_code == 401
        assert locked("other", "GET", "/v1/runs/r").status_code == 200


def test_a_process_that_still_posts_does_not_begin_an_erased_project_anew(tmp_path: Path) -> None:
    with TestClient(create_app(Settings(data_dir=tmp_path / "data")), "http://localhost") as api:
        assert api.post("/v1/runs/r/points?project=p", json=POINT).status_code == 200
        assert api.delete("/v1/projects/p").status_code == 204
        for name in ("r", "another"):
            assert api.post(f"/v1/runs/{name}/points?project=p", json=POINT).status_code == 410
        assert api.get("/v1/projects").json() == {"projects": []}


@pytest.mark.slow
def test_the_command_line_lists_limits_and_erases_projects(start: Start, command: Command) -> None:
    address = ("--service", address_of(start("--port", "0")))
    set_to = command("projects", "retention", "p", "--thin-after-days", "7", *address)
    assert "thin after days: 7\ndelete after days: no limit" in set_to.stdout.replace("thin to points: 2000\n", "")
    assert set_to.stdout.endswith("set for this project\n")
    assert command("projects", "retention", "p", "--reset", *address).stdout.endswith("as the service is set\n")
    assert command("projects", "retention", "p", "--reset", "--max-mib", "1", *address).returncode == 64
    assert httpx.put(f"{address[1]}/v1/runs/run?project=p").status_code == 201
    assert command("projects", "list", *address).stdout == "p  1 runs, 0 critical\n"
    assert command("projects", "erase", "p", *address, stdin="q\n").returncode == 64
    assert command("projects", "erase", "p", *address, stdin="p\n").returncode == 0
    assert command("projects", "list", *address).stdout == ""
