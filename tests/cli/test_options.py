"""What an option says wins over its variable, and that over the file: for every setting of the table."""

from __future__ import annotations

import os
import typing
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from losswatch_server.cli.options import with_settings
from losswatch_server.cli.place import Config, Data, Database, place_of
from losswatch_server.settings import ALTERNATIVES, PREFIX, Settings, option

TEXTS: dict[str, tuple[str, str, str]] = {
    "log_level": ("debug", "error", "warning"),
    "log_format": ("json", "text", "json"),
    "database": ("postgresql://one/a", "postgresql://two/b", "postgresql://three/c"),
    "base_url": ("https://one", "https://two", "https://three"),
    "trusted_proxies": ("10.0.0.1", "10.0.0.2", "10.0.0.3"),
}
NAMES = [one.name for one in fields(Settings) if one.name != "config"]
KINDS = typing.get_type_hints(Settings)


def texts(name: str) -> tuple[str, str, str]:
    """Three values of a setting, as text; of one that is true or false the middle one differs."""
    kind = KINDS[name]
    if kind is bool:
        return "true", "false", "true"
    numbers = int in (kind, *typing.get_args(kind)) or float in (kind, *typing.get_args(kind))
    return TEXTS.get(name) or (("200", "300", "400") if numbers else ("/one", "/two", "/three"))


def in_a_file(name: str, text: str) -> str:
    is_bare = KINDS[name] is bool or text.isdigit()
    return f"{name} = {text}\n" if is_bare else f'{name} = "{text}"\n'


def options_of(name: str, text: str) -> list[str]:
    if KINDS[name] is bool:
        return [option(name) if text == "true" else f"--no-{option(name).removeprefix('--')}"]
    return [option(name), text]


def settings(arguments: list[str], environ: dict[str, str]) -> Settings:
    """As ``serve`` has them."""
    found: list[Settings] = []
    app = typer.Typer()

    def command(**given: Any) -> None:
        found.append(Settings.from_env(os.environ, **given))

    app.command()(with_settings(command))
    result = CliRunner().invoke(app, arguments, env=environ)
    assert result.exit_code == 0, result.output
    return found[0]


@pytest.mark.parametrize("name", NAMES)
def test_an_option_wins_over_the_variable_and_that_over_the_file(name: str, tmp_path: Path) -> None:
    file, variable, given = texts(name)
    (tmp_path / "config.toml").write_text(in_a_file(name, file))
    environ = {"LOSSWATCH_CONFIG": str(tmp_path / "config.toml")}
    told = [str(getattr(settings([], environ), name)).lower()]
    environ[PREFIX + name.upper()] = variable
    told.append(str(getattr(settings([], environ), name)).lower())
    told.append(str(getattr(settings(options_of(name, given), environ), name)).lower())
    assert [one.removesuffix(".0") for one in told] == [file, variable, given]


@pytest.mark.parametrize(("one", "other"), [*ALTERNATIVES, *(tuple(reversed(pair)) for pair in ALTERNATIVES)])
@pytest.mark.parametrize(("stronger", "weaker"), [("option", "variable"), ("option", "file"), ("variable", "file")])
def test_of_two_settings_that_say_the_same_the_one_of_the_stronger_source_counts(
    one: str, other: str, stronger: str, weaker: str, tmp_path: Path
) -> None:
    arguments, environ = [], {}
    for name, source in ((one, stronger), (other, weaker)):
        text = texts(name)[0]
        if source == "option":
            arguments = options_of(name, text)
        elif source == "variable":
            environ[PREFIX + name.upper()] = text
        else:
            (tmp_path / "config.toml").write_text(in_a_file(name, text))
            environ["LOSSWATCH_CONFIG"] = str(tmp_path / "config.toml")
    assert str(settings(arguments, environ).place) == texts(one)[0]


@pytest.mark.parametrize("equal", [True, False])
def test_commands_beside_a_service_find_the_same_place(equal: bool, tmp_path: Path) -> None:
    """Also where option and variable say the same of one setting, and another variable says more of the other."""
    found: list[object] = []
    app = typer.Typer()

    @app.command()
    def command(data: Data = None, database: Database = None, config: Config = None) -> None:
        found.append(place_of(data, database, config))

    folder = str(tmp_path / "data")
    environ = {"LOSSWATCH_DATABASE": "postgresql://one/a", "LOSSWATCH_DATA_DIR": folder if equal else "/elsewhere"}
    for arguments in ([], ["--data", folder], ["--data", folder, "--database", "postgresql://two/b"]):
        assert CliRunner().invoke(app, arguments, env=environ).exit_code == 0
    assert found == ["postgresql://one/a", tmp_path / "data", "postgresql://two/b"]
