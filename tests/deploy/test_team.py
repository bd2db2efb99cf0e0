"""The compose file for a team, without a container engine: what it names is there, and only the proxy is open."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import check_jsonschema
import jsonschema
import pytest
import yaml

from losswatch_server.api.http.authentication import Authentication
from losswatch_server.api.http.problems import KEY_MISSING
from losswatch_server.api.http.proxy_users import PEER
from losswatch_server.app import proxy_users
from losswatch_server.keys import KeyRing
from losswatch_server.settings import Settings, option

TEAM = Path(__file__).parents[2] / "deploy" / "team"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((TEAM / "compose.yaml").read_text())
    return read


@pytest.fixture(scope="module")
def oidc() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((TEAM / "compose.oidc.yaml").read_text())
    return read


@pytest.mark.parametrize("name", ["compose.yaml", "team/compose.yaml", "team/compose.oidc.yaml"])
def test_the_compose_file_is_one_by_the_specification(name: str) -> None:
    vendored = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(yaml.safe_load((TEAM.parent / name).read_text()), json.loads(vendored.read_text()))
    run = subprocess.run(
        [Path(sys.executable).parent / "yamllint", "--strict", TEAM.parent / name], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout


KNOWN = {
    "build", "image", "command", "depends_on", "environment", "secrets", "networks", "volumes", "ports", "restart",
    "read_only", "tmpfs", "cap_drop", "cap_add", "security_opt", "mem_limit", "pids_limit", "shm_size",
    "stop_grace_period", "healthcheck",
}  # fmt: skip


def test_everything_that_is_named_is_there(compose: dict[str, Any]) -> None:
    assert {key for key in compose if not key.startswith("x-")} == {
        "name",
        "services",
        "networks",
        "secrets",
        "volumes",
    }
    for name, service in compose["services"].items():
        assert set(service) <= KNOWN, name
        assert set(service.get("networks", ())) <= set(compose["networks"]), name
        assert set(service.get("secrets", ())) <= set(compose["secrets"]), name
        assert set(service.get("depends_on", ())) <= set(compose["services"]), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (TEAM / source).exists() if source.startswith(".") else source in compose["volumes"], volume
        for secret in re.findall(r"/run/secrets/(\w+)", str(service)):
            assert secret in service["secrets"], (name, secret)
    for service in (one for one in compose["services"].values() if "build" in one):
        context = (TEAM / service["build"]["context"]).resolve()
        assert (context / service["build"]["dockerfile"]).is_file()


def test_only_the_proxy_is_published_and_the_database_is_inside(compose: dict[str, Any]) -> None:
    assert [name for name, service in compose["services"].items() if service.get("ports")] == ["proxy"]
    assert compose["services"]["postgres"]["networks"] == ["inside"]
    assert compose["networks"]["inside"] == {"internal": True}
    for name, service in compose["services"].items():
        assert "privileged" not in service
        assert "no-new-privileges:true" in service["security_opt"], name
        if name != "postgres":
            assert service["cap_drop"] == ["ALL"], name
        if not name.startswith("losswatch"):
            assert re.fullmatch(r"[\w/.-]+:v?\d+[\w.-]*", service["image"]), "of a version"


def test_there_are_two_services_and_each_is_called_as_it_can_be(compose: dict[str, Any]) -> None:
    services = [service for name, service in compose["services"].items() if name.startswith("losswatch")]
    assert len(services) == 2
    options = {option(field.name) for field in fields(Settings)}
    for service in services:
        command, *given = service["command"]
        assert command == "serve"
        assert {one.split("=")[0] for one in given} <= options


def test_the_secrets_are_made_once_and_the_service_takes_its_settings(tmp_path: Path, compose: dict[str, Any]) -> None:
    script = shutil.copy(TEAM / "secrets.sh", tmp_path)
    run = subprocess.run([script, "losswatch.example.org"], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert {Path(secret["file"]).name for secret in compose["secrets"].values()} == set(made)
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    assert len(made["postgres_password"]) == 48 != made["grafana_password"]
    assert f"losswatch:{made['postgres_password']}@postgres/" in tomllib.loads(made["settings.toml"])["database"]
    settings = Settings.from_env({"LOSSWATCH_CONFIG": str(tmp_path / "secrets" / "settings.toml")})
    assert settings.base_url == "https://losswatch.example.org"
    assert (tmp_path / ".env").read_text() == "LOSSWATCH_SITE=losswatch.example.org\n"
    again = subprocess.run([script, "x"], capture_output=True, text=True, timeout=60)
    assert (again.returncode, made["settings.toml"]) == (1, (tmp_path / "secrets" / "settings.toml").read_text())


def test_the_proxy_and_prometheus_know_every_service_and_no_other(compose: dict[str, Any]) -> None:
    services = {name for name in compose["services"] if name.startswith("losswatch")}
    caddy = (TEAM / "Caddyfile").read_text()
    assert caddy.count("{") == caddy.count("}")
    assert set(re.search(r"reverse_proxy (losswatch.*) \{", caddy)[1].split()) == {f"{name}:8000" for name in services}
    assert "{$SITE}" in caddy
    assert "SITE" in compose["services"]["proxy"]["environment"]
    prometheus = yaml.safe_load((TEAM / "prometheus.yml").read_text())
    (job,) = prometheus["scrape_configs"]
    assert set(job["static_configs"][0]["targets"]) == {f"{name}:8000" for name in services}
    mounted = [volume.split(":")[1] for volume in compose["services"]["prometheus"]["volumes"]]
    assert {f"/etc/prometheus/{name}" for name in prometheus["rule_files"]} <= set(mounted)


def test_grafana_shows_the_dashboard_that_is_mounted(compose: dict[str, Any]) -> None:
    (source,) = yaml.safe_load((TEAM / "grafana" / "datasource.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((TEAM / "grafana" / "dashboards.yaml").read_text())["providers"]
    mounted = [volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted
    assert f'"uid": "{source["uid"]}"' in (TEAM / "grafana" / "losswatch.json").read_text()


def test_only_the_proxy_may_say_who_somebody_is(compose: dict[str, Any], oidc: dict[str, Any]) -> None:
    """The settings that the override gives the services, and what each container could claim with them."""
    services = {name for name in compose["services"] if name.startswith("losswatch")}
    proxy = oidc["services"]["proxy"]["networks"]["outside"]["ipv4_address"]
    for name in services:
        settings = Settings.from_env(oidc["services"][name]["environment"])
        door = Authentication(lambda: KeyRing(None), proxy_users(settings))  # type: ignore[arg-type]

        def refusal(peer: str, header: str | None = settings.user_header, door: Authentication = door) -> Any:
            headers = [(str(header).lower().encode(), b"ada@example.org")]
            asked = {"method": "GET", "path": "/v1/runs", "headers": headers, PEER: peer}
            refused = door.admit(asked)
            return None if refused is None else refused.kind

        assert refusal(proxy) is None
        assert refusal("172.30.7.130") is KEY_MISSING, "another container"
        assert refusal("127.0.0.1") is KEY_MISSING
        assert refusal(proxy, "X-Auth-Request-User") is KEY_MISSING


def test_nobody_but_the_provider_names_a_user(oidc: dict[str, Any]) -> None:
    caddy = (TEAM / "Caddyfile.oidc").read_text()
    assert caddy.count("{") == caddy.count("}")
    (header,) = {one["environment"]["LOSSWATCH_USER_HEADER"] for one in oidc["services"].values() if "image" not in one
                 and "environment" in one}  # fmt: skip
    route = caddy[caddy.index("route {") :]
    assert re.match(rf"route {{\s+request_header -{header}\s", route), "it is removed before anything else"
    assert re.findall(r"copy_headers (.*)", caddy) == [header]
    assert caddy.index("handle @program") < caddy.index("forward_auth oauth2-proxy")
    plain = (TEAM / "Caddyfile").read_text()
    upstream = re.search(r"reverse_proxy losswatch.*\{", plain)
    assert upstream is not None
    assert upstream[0] in caddy, "the same services behind it"


def test_what_oauth2_proxy_needs_is_written_once_for_its_owner_alone(tmp_path: Path, oidc: dict[str, Any]) -> None:
    script = shutil.copy(TEAM / "oidc.sh", tmp_path)
    given = [script, "https://id.example.org/realms/team", "losswatch", "example.org"]
    assert subprocess.run(given, input="hidden", capture_output=True, text=True, timeout=60).returncode == 1
    (tmp_path / "secrets").mkdir()
    assert subprocess.run(given, input="", capture_output=True, text=True, timeout=60).returncode == 1
    assert subprocess.run(given, input="hidden\n", capture_output=True, text=True, timeout=60).returncode == 0
    (path,) = (tmp_path / name.removeprefix("./") for name in oidc["services"]["oauth2-proxy"]["env_file"])
    assert path.stat().st_mode & 0o077 == 0
    found = dict(line.split("=", 1) for line in path.read_text().splitlines())
    assert found["OAUTH2_PROXY_CLIENT_SECRET"] == "hidden"
    assert len(found["OAUTH2_PROXY_COOKIE_SECRET"]) == 32
    assert not set(found) & set(oidc["services"]["oauth2-proxy"]["environment"])
