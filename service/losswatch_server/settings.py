"""The settings of the service: one frozen record, one table of names, defaults and sentences.

A value comes from an option of ``serve``, else from a variable of the environment, else from the TOML file that
``config`` names, else it is the default. Settings that answer one question together are taken from one of these alone.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs

PREFIX = "LOSSWATCH_"
LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("critical", "error", "warning", "info", "debug")
_TRUE = frozenset(("1", "true", "yes", "on"))
_FALSE = frozenset(("0", "false", "no", "off", ""))

_RANGES = (
    ("port", 0, 65535),
    ("max_connections", 1, 1_000_000),
    ("request_memory_mib", 16, 1 << 20),
    ("live_runs", 1, 1_000_000),
    ("head_timeout_s", 0.1, 3600),
    ("progress_timeout_s", 0.1, 3600),
    ("idle_timeout_s", 0.1, 86400),
    ("graceful_timeout_s", 0, 3600),
    ("drain_s", 0, 3600),
    ("requests_per_minute", 1, 1_000_000_000),
    ("points_per_minute", 1, 1_000_000_000),
    ("points_per_day", 1, 1_000_000_000_000),
    ("thin_after_days", 0, 36500),
    ("thin_to_points", 100, 1_000_000),
    ("delete_after_days", 0, 36500),
    ("project_max_mib", 0, 1 << 30),
)

# Variables of the same prefix that belong to the client, which may run in the same environment.
CLIENT_VARIABLES = frozenset(PREFIX + name for name in ("URL", "API_KEY", "PROJECT", "SPOOL_DIR", "RUN", "DISABLED"))

ALTERNATIVES = (("data_dir", "database"),)
"""Settings that say the same in two ways: where one of them is told, what a weaker source says of the other is nothing.
Of two that one source tells the last counts."""


class SettingsError(ValueError):
    """A setting that cannot be used; the message names it and says what it may be."""


class SettingHelp(NamedTuple):
    """One row of the table of settings."""

    variable: str
    option: str
    default: str
    help: str


def default_data_dir() -> Path:
    """Where systemd or a container says (``STATE_DIRECTORY``), else where the platform keeps a user's data, for example
    ``~/.local/share/losswatch``."""
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(given) if given else Path(platformdirs.user_data_dir("losswatch", appauthor=False))


def _setting(default: Any, help_text: str) -> Any:
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set: each field is also the variable LOSSWATCH_<NAME>, an option of ``serve`` and a name
    in the file."""

    config: Path | None = field(
        default=None,
        metadata={"help": "TOML file with settings: the names of these variables in lower case, without LOSSWATCH_."},
    )

    host: str = _setting("127.0.0.1", "Address to listen on; 0.0.0.0 for every interface.")
    port: int = _setting(8000, "Port to listen on; 0 picks a free one.")
    data_dir: Path = field(
        default_factory=default_data_dir,
        metadata={"help": "Folder of the SQLite file; created when missing, locked while the service runs."},
    )
    database: str | None = _setting(
        None,
        "Address of a PostgreSQL database to use instead of the folder, postgresql://user:password@host/name; several "
        "services may share it.",
    )
    insecure: bool = _setting(
        False, "Listen beyond this machine although there is no API key: whoever reaches the service can change all."
    )
    base_url: str | None = _setting(
        None,
        "Address under which people reach the service, for example behind a proxy. Notifications link to it (otherwise "
        "to host and port), and its web pages may call the service.",
    )
    allowed_hosts: str | None = _setting(
        None,
        "More host names to answer to, separated by commas; *.example.org means all below it, * means any.",
    )
    allow_private_targets: bool = _setting(
        False, "Allow notification targets on loopback and private addresses, for example on an internal network."
    )
    targets_file: Path | None = field(
        default=None,
        metadata={"help": "TOML file with notification targets, read at the start."},
    )
    smtp_url: str | None = _setting(
        None, "Mail server for e-mail targets: smtp://user:password@host:587 (STARTTLS), smtps:// or smtp+plain://."
    )
    mail_from: str = _setting("losswatch@localhost", "Sender of notification mails.")
    metric_names: str | None = _setting(
        None,
        "More names of metrics for what MLflow, OpenTelemetry, Keras and W&B clients send: objective=loss, "
        "team-a:dev_ce=validation_loss (in one project), lr=metric (a metric of its own).",
    )
    log_level: str = _setting("info", f"Log level: {', '.join(LOG_LEVELS)}.")
    log_format: str = _setting("text", "Log as lines for people (text) or as JSON with request ids (json).")
    tracing: bool = _setting(
        False, "Send a trace of each request as OTEL_EXPORTER_OTLP_ENDPOINT says; needs losswatch-server[tracing]."
    )
    max_connections: int = _setting(
        1000, "Largest number of connections. One more closes the one that has been idle longest, or gets 503."
    )
    request_memory_mib: int = _setting(
        384, "Memory for all request bodies in progress and what is made of them; what does not fit gets 503."
    )
    live_runs: int | None = _setting(
        None,
        "Runs that are kept in memory between two posts, 0.3 MiB each after 1000 points, 0.6 after 10,000 (otherwise "
        "as many as 320 MiB hold, up to 2048). A post to another run costs ten times as much: set it to how many "
        "report at the same time.",
    )
    requests_per_minute: int | None = _setting(
        None, "Requests that one API key (without keys: one address) may send in a minute; more get 429."
    )
    points_per_minute: int | None = _setting(
        None, "Points that one API key (without keys: one address) may send in a minute; more get 429."
    )
    points_per_day: int | None = _setting(
        None, "Points that one project may send on a day (UTC), by way of all services together; more get 429."
    )
    user_header: str | None = _setting(
        None, "Header in which a trusted proxy names the user whom it has authenticated, such as X-Auth-Request-User."
    )
    user_scopes: str = _setting("read", "What such a user may do in every project: read, ingest, admin, with commas.")
    trusted_proxies: str = _setting(
        "127.0.0.1,::1", "Addresses and networks of proxies whose X-Forwarded-For, X-Forwarded-Proto and user count."
    )
    head_timeout_s: float = _setting(10.0, "Seconds within which the head of a request must arrive.")
    progress_timeout_s: float = _setting(
        30.0, "Seconds within which more of a body must arrive, or the client must read more of an answer."
    )
    idle_timeout_s: float = _setting(75.0, "Seconds for which an idle connection is kept open.")
    drain_s: float = _setting(
        0.0, "Seconds for which a service that is to stop goes on while /readyz is 503, so that a balancer can notice."
    )
    graceful_timeout_s: float = _setting(10.0, "Seconds that open requests get when the service stops.")

    thin_after_days: float | None = _setting(
        None, "Days after which runs that ended are thinned to their most telling points; their reports stay."
    )
    thin_to_points: int = _setting(2000, "Points that a thinned run keeps about, besides those near its findings.")
    delete_after_days: float | None = _setting(
        None, "Days after which runs of which nothing more was heard are deleted."
    )
    project_max_mib: float | None = _setting(
        None, "Size of a project's points beyond which its ended runs are thinned, then deleted, the oldest first."
    )

    def __post_init__(self) -> None:
        if self.log_level not in LOG_LEVELS:
            raise SettingsError(f"log_level must be one of {', '.join(LOG_LEVELS)}, not {self.log_level!r}")
        if self.database is not None and not self.database.startswith(("postgresql://", "postgres://")):
            raise SettingsError("database must begin with postgresql://")
        if self.log_format not in LOG_FORMATS:
            raise SettingsError(f"log_format must be one of {', '.join(LOG_FORMATS)}, not {self.log_format!r}")
        for name, least, most in _RANGES:
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise SettingsError(f"{name} must be from {least} to {most}, not {value}")
        if self.base_url is not None and not self.base_url.startswith(("http://", "https://")):
            raise SettingsError(f"base_url must begin with http:// or https://, not {self.base_url!r}")

    @classmethod
    def from_env(cls, environ: Mapping[str, str], **given: Any) -> Settings:
        """Defaults, overlaid by the file, by LOSSWATCH_… of ``environ``, and by those ``given`` that are not None.

        Raises SettingsError for a value that cannot be read and for a name that does not exist.
        """
        known = {f.name: str(f.type) for f in fields(cls)}
        values: dict[str, Any] = {}
        for variable, text in environ.items():
            if not variable.startswith(PREFIX) or variable in CLIENT_VARIABLES:
                continue
            name = variable.removeprefix(PREFIX).lower()
            if name not in known or variable != PREFIX + name.upper():
                raise _unknown(variable, [PREFIX + one.upper() for one in known])
            values[name] = _read(variable, known[name], text)
        options = {name: value for name, value in given.items() if value is not None}
        file = options.get("config") or values.get("config")
        told = {} if file is None else _from_file(file, known)
        return cls(**_over(_over(told, values), options))

    @property
    def place(self) -> Path | str:
        """Where the runs are kept: the data folder, or the address of a database, with its password."""
        return self.database or self.data_dir

    @classmethod
    def table(cls) -> tuple[SettingHelp, ...]:
        """Every setting: its variable, its default and one sentence."""
        defaults = cls()
        return tuple(
            SettingHelp(PREFIX + f.name.upper(), option(f.name), _show(getattr(defaults, f.name)), f.metadata["help"])
            for f in fields(cls)
        )


def _over(weaker: Mapping[str, Any], stronger: Mapping[str, Any]) -> dict[str, Any]:
    """What both sources say, the stronger one where they say the same."""
    unsaid = {name for names in ALTERNATIVES if any(name in stronger for name in names) for name in names}
    return {name: value for name, value in weaker.items() if name not in unsaid} | dict(stronger)


def setting_help(name: str) -> str:
    """The sentence of one setting."""
    return str(Settings.__dataclass_fields__[name].metadata["help"])


def option(name: str) -> str:
    """The option of ``serve`` that a setting is: units and what is plain from the command are left out."""
    return "--data" if name == "data_dir" else "--" + name.removesuffix("_s").replace("_", "-")


def _show(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _unknown(name: str, known: Iterable[str]) -> SettingsError:
    names = list(known)
    by_option = {option(one).lstrip("-").replace("-", "_"): one for one in names}
    plain = name.lower().replace("-", "_").removeprefix(PREFIX.lower())
    close = [by_option[plain]] if plain in by_option else [plain] if plain in names else []
    close += difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(names)}"
    return SettingsError(f"there is no setting {name}{hint}")


def _from_file(path: Path, known: Mapping[str, str]) -> dict[str, Any]:
    """The settings of a TOML file, which has no tables."""
    try:
        with path.open("rb") as file:
            found = tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"the settings file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"the settings file {path} is not TOML: {error}") from error
    values: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, dict):
            raise SettingsError(f"{path}: there are no tables in this file; write the settings without [{name}]")
        if name not in known or name == "config":
            raise SettingsError(f"{path}: {_unknown(name, [one for one in known if one != 'config'])}")
        values[name] = _of_file(f"{path}: {name}", known[name], value)
    return values


def _of_file(where: str, kind: str, value: Any) -> Any:
    if kind.startswith("bool"):
        wanted: tuple[type, ...] = (bool,)
    elif kind.startswith("int"):
        wanted = (int,)
    else:
        wanted = (int, float) if kind.startswith("float") else (str,)
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a text in quotes"}
        raise SettingsError(f"{where} must be {kinds[wanted[-1]]}, not {value!r:.60}")
    return _read(where, kind, value) if isinstance(value, str) else value


def _read(variable: str, kind: str, text: str) -> Any:
    if "None" in kind and not text:
        return None
    try:
        if kind.startswith("int"):
            return int(text)
        if kind.startswith("float"):
            return float(text)
    except ValueError:
        raise SettingsError(f"{variable} must be a number, not {text!r}") from None
    if kind == "bool":
        if text.strip().lower() not in _TRUE | _FALSE:
            raise SettingsError(f"{variable} must be true or false, not {text!r}")
        return text.strip().lower() in _TRUE
    return Path(text).expanduser() if kind.startswith("Path") else text
