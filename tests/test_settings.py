"""Settings: read from the environment, told in a table, refused with a sentence."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from losswatch_server.app import create_app, metric_rules
from losswatch_server.settings import CLIENT_VARIABLES, Settings, SettingsError


def test_what_is_given_wins_over_the_environment_and_that_over_defaults() -> None:
    settings = Settings.from_env(
        {"LOSSWATCH_PORT": "9000", "LOSSWATCH_HOST": "::1", "PATH": "x"}, host="0.0.0.0", port=None
    )
    assert (settings.host, settings.port, settings.log_level) == ("0.0.0.0", 9000, "info")


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("LOSSWATCH_ALLOW_PRIVATE_TARGETS", "yes", True),
        ("LOSSWATCH_ALLOW_PRIVATE_TARGETS", "0", False),
        ("LOSSWATCH_DATA_DIR", "/srv/x", Path("/srv/x")),
        ("LOSSWATCH_GRACEFUL_TIMEOUT_S", "2.5", 2.5),
        ("LOSSWATCH_BASE_URL", "https://loss.example", "https://loss.example"),
        ("LOSSWATCH_BASE_URL", "", None),
    ],
)
def test_every_kind_of_variable_is_read(variable: str, text: str, value: object) -> None:
    settings = Settings.from_env({variable: text})
    assert getattr(settings, variable.removeprefix("LOSSWATCH_").lower()) == value


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"LOSSWATCH_PORT": "many"}, "LOSSWATCH_PORT must be a number"),
        ({"LOSSWATCH_PORT": "-1"}, "port must be from 0"),
        ({"LOSSWATCH_PRT": "1"}, "did you mean LOSSWATCH_PORT"),
        ({"LOSSWATCH_ALLOW_PRIVATE_TARGETS": "perhaps"}, "true or false"),
        ({"LOSSWATCH_LOG_LEVEL": "loud"}, "one of critical"),
        ({"LOSSWATCH_GRACEFUL_TIMEOUT_S": "nan"}, "graceful_timeout_s"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_with_its_name(environ: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Settings.from_env(environ)


def test_variables_of_the_client_are_none_of_the_services_business() -> None:
    assert Settings.from_env({"LOSSWATCH_URL": "http://x", "LOSSWATCH_API_KEY": "k"}) == Settings()


def test_every_variable_of_the_clients_may_be_set_where_the_service_runs() -> None:
    sources = (Path(__file__).parents[1] / "clients" / "python" / "src").rglob("*.py")
    theirs = {name for path in sources for name in re.findall(r"LOSSWATCH_[A-Z_]+", path.read_text())}
    assert theirs - {row.variable for row in Settings.table()} == CLIENT_VARIABLES


def test_the_table_tells_every_setting_in_one_sentence() -> None:
    table = Settings.table()
    assert [row.variable for row in table] == [f"LOSSWATCH_{field.name.upper()}" for field in fields(Settings)]
    assert all(row.help.endswith(".") and "\n" not in row.help for row in table)


def test_rules_for_metric_names_that_cannot_be_read_are_said_before_the_service_starts() -> None:
    assert metric_rules(Settings(metric_names="objective=loss")) == {"": {"objective": "loss"}}
    with pytest.raises(SettingsError, match="metric_names: 'loss=much': there is no field 'much'"):
        metric_rules(Settings(metric_names="loss=much"))


@pytest.mark.slow
def test_as_many_runs_stay_in_memory_as_the_setting_says(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path, live_runs=3))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        for step in range(2):
            for run in range(5):
                posted = client.post(f"/v1/runs/run-{run}/points", json={"step": step, "loss": 1.0})
                assert posted.json()["points"] == step + 1
        assert len(app.state.runs._cache._runs) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("reqests_per_minute = 5", "did you mean requests_per_minute?"),
        ('data = "/srv"', "did you mean data_dir?"),  # as the option is called
        ("graceful-timeout = 1", "did you mean graceful_timeout_s?"),
        ("LOSSWATCH_PORT = 1", "did you mean port?"),
        ("[service]\nport = 1", "without [service]"),
        ('port = "x"', "port must be a whole number, not 'x'"),
    ],
)
def test_a_file_that_cannot_be_meant_says_what_may_be(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(SettingsError) as refused:
        Settings.from_env({"LOSSWATCH_CONFIG": str(tmp_path / "config.toml")})
    assert said in str(refused.value)
