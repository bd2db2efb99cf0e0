"""The settings of the service: one frozen record, one table of names, defaults and sentences."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs

PREFIX = "LOSSWATCH_"
LOG_LEVELS = ("critical", "error", "warning", "info", "debug")
_TRUE = frozenset(("1", "true", "yes", "on"))
_FALSE = frozenset(("0", "false", "no", "off", ""))

_RANGES = (
    ("port", 0, 65535),
    ("max_connections", 1, 1_000_000),
    ("request_memory_mib", 16, 1 << 20),
    ("head_timeout_s", 0.1, 3600),
    ("progress_timeout_s", 0.1, 3600),
    ("idle_timeout_s", 0.1, 86400),
    ("graceful_timeout_s", 0, 3600),
)

# Variables of the same prefix that belong to the client, which may run in the same environment.
_CLIENT_VARIABLES = frozenset(("LOSSWATCH_URL", "LOSSWATCH_API_KEY", "LOSSWATCH_PROJECT", "LOSSWATCH_SPOOL_DIR"))


class SettingsError(ValueError):
    """A setting that cannot be used; the message names it and says what it may be."""


class SettingHelp(NamedTuple):
    """One row of the table of settings."""

    variable: str
    default: str
    help: str


def default_data_dir() -> Path:
    """Where the platform keeps a user's data, for example ``~/.local/share/losswatch``."""
    return Path(platformdirs.user_data_dir("losswatch", appauthor=False))


def _setting(default: Any, help_text: str) -> Any:
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set; each field is also the variable LOSSWATCH_<NAME> and an option of ``serve``."""

    host: str = _setting("127.0.0.1", "Address to listen on; 0.0.0.0 for every interface.")
    port: int = _setting(8000, "Port to listen on; 0 picks a free one.")
    data_dir: Path = field(
        default_factory=default_data_dir,
        metadata={"help": "Folder of the SQLite file; created when missing, locked while the service runs."},
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
    log_level: str = _setting("info", f"Log level: {', '.join(LOG_LEVELS)}.")
    max_connections: int = _setting(
        1000, "Largest number of connections. One more closes the one that has been idle longest, or gets 503."
    )
    request_memory_mib: int = _setting(
        384, "Memory for all request bodies in progress and what is made of them; what does not fit gets 503."
    )
    head_timeout_s: float = _setting(10.0, "Seconds within which the head of a request must arrive.")
    progress_timeout_s: float = _setting(
        30.0, "Seconds within which more of a body must arrive, or the client must read more of an answer."
    )
    idle_timeout_s: float = _setting(75.0, "Seconds for which an idle connection is kept open.")
    graceful_timeout_s: float = _setting(10.0, "Seconds that open requests get when the service stops.")

    def __post_init__(self) -> None:
        if self.log_level not in LOG_LEVELS:
            raise SettingsError(f"log_level must be one of {', '.join(LOG_LEVELS)}, not {self.log_level!r}")
        for name, least, most in _RANGES:
            value = getattr(self, name)
            if not least <= value <= most:
                raise SettingsError(f"{name} must be from {least} to {most}, not {value}")
        if self.base_url is not None and not self.base_url.startswith(("http://", "https://")):
            raise SettingsError(f"base_url must begin with http:// or https://, not {self.base_url!r}")

    @classmethod
    def from_env(cls, environ: Mapping[str, str], **given: Any) -> Settings:
        """Defaults, overlaid by LOSSWATCH_… of ``environ``, overlaid by those ``given`` that are not None.

        Raises SettingsError for a value that cannot be read and for a LOSSWATCH_ variable that does not exist.
        """
        known = {PREFIX + f.name.upper(): f for f in fields(cls)}
        values: dict[str, Any] = {}
        for variable, text in environ.items():
            if not variable.startswith(PREFIX) or variable in _CLIENT_VARIABLES:
                continue
            if variable not in known:
                close = difflib.get_close_matches(variable, known, n=1)
                hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"
                raise SettingsError(f"there is no setting {variable}{hint}")
            values[known[variable].name] = _read(variable, str(known[variable].type), text)
        values.update((name, value) for name, value in given.items() if value is not None)
        return cls(**values)

    @classmethod
    def table(cls) -> tuple[SettingHelp, ...]:
        """Every setting: its variable, its default and one sentence."""
        defaults = cls()
        return tuple(
            SettingHelp(PREFIX + f.name.upper(), _show(getattr(defaults, f.name)), f.metadata["help"])
            for f in fields(cls)
        )


def setting_help(name: str) -> str:
    """The sentence of one setting."""
    return str(Settings.__dataclass_fields__[name].metadata["help"])


def _show(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _read(variable: str, kind: str, text: str) -> Any:
    try:
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
    except ValueError:
        raise SettingsError(f"{variable} must be a number, not {text!r}") from None
    if kind == "bool":
        if text.strip().lower() not in _TRUE | _FALSE:
            raise SettingsError(f"{variable} must be true or false, not {text!r}")
        return text.strip().lower() in _TRUE
    if "Path" in kind:
        return Path(text).expanduser() if text or kind == "Path" else None
    return text or None if "None" in kind else text
