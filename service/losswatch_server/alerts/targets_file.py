"""The targets file: targets that the operator describes in TOML, secrets from other files if wanted.

[[targets]]
name = "team channel"
project = "default"
kind = "slack"
url_file = "/run/secrets/slack-webhook"   # or url = "https://hooks.slack.com/services/…"
min_severity = "critical"
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from losswatch_server.alerts import row_codec
from losswatch_server.alerts.channels import BY_KIND
from losswatch_server.alerts.egress.addresses import TargetRefusedError, read_url
from losswatch_server.alerts.egress.signing import Secret, check_secret
from losswatch_server.alerts.group_by import GroupBy
from losswatch_server.alerts.policy import Rules
from losswatch_server.alerts.registry import default_rules
from losswatch_server.alerts.targets import Target
from losswatch_server.monitor.vocabulary import Condition, Severity
from losswatch_server.store.alerting import configuration
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.transactions import Transactions

_RULES = {field.name for field in fields(Rules)} - {"tracks_state", "since"}
_ADDRESS = {"url", "url_file", "routing_key", "routing_key_file", "secret", "secret_file"}
_KNOWN = _RULES | _ADDRESS | {"name", "project", "kind"}


class TargetsFileError(Exception):
    """The targets file cannot be used; the sentence says which entry and what to change, without secrets."""


def read_targets(path: Path, now: float, *, allow_private: bool) -> list[Target]:
    """The targets of a file. Their ids come from project and name, so that a restart changes nothing."""
    try:
        plain = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise TargetsFileError(f"the targets file {path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TargetsFileError(f"{path} is not TOML: {error}") from None
    found: dict[str, Target] = {}
    for number, entry in enumerate(plain.get("targets", []), 1):
        try:
            target = _target(entry, path.parent, now, allow_private)
        except (TargetRefusedError, ValueError, TypeError, OSError) as error:
            raise TargetsFileError(f"{path}: target {number}: {error}") from None
        if target.id in found:
            raise TargetsFileError(f"{path}: target {number}: its project has another target of this name")
        found[target.id] = target
    return list(found.values())


async def install(store: Transactions, targets: list[Target]) -> None:
    """Make the store's targets from the file what the file says; those of the API stay."""

    def write(connection: DatabaseConnection) -> None:
        wanted = {(t.project, t.id): t for t in targets}
        for row in configuration.targets(connection):
            if row.source != "file":
                continue
            target = wanted.pop((row.project, row.id), None)
            if target is None:
                configuration.delete_target(connection, row.project, row.id)
            else:
                configuration.put_target(connection, row_codec.target_row(_kept(row_codec.target_from(row), target)))
        for target in wanted.values():
            configuration.put_target(connection, row_codec.target_row(target))

    await store.write(write)


def _kept(before: Target, now: Target) -> Target:
    """What the file says, with the health and age that the target has; a changed address starts afresh."""
    rules = replace(now.rules, since=before.rules.since)
    kept = replace(now, rules=rules, created_at=before.created_at)
    if before.url != now.url or before.routing_key != now.routing_key:
        return kept
    return replace(kept, state=before.state, failing_since=before.failing_since, disabled_reason=before.disabled_reason)


def _target(entry: Mapping[str, Any], folder: Path, now: float, allow_private: bool) -> Target:
    unknown = sorted(set(entry) - _KNOWN)
    if unknown:
        raise TargetRefusedError(f"unknown names: {', '.join(unknown)}; there are {', '.join(sorted(_KNOWN))}")
    name, project, kind = entry.get("name"), entry.get("project", "default"), entry.get("kind", "")
    if not name:
        raise TargetRefusedError("`name` is missing")
    channel = BY_KIND.get(kind)
    if channel is None:
        raise TargetRefusedError(f"`kind` is one of {', '.join(sorted(BY_KIND))}, not {kind!r}")
    url = _secret(entry, "url", folder) or channel.default_url
    if not url:
        raise TargetRefusedError("`url` or `url_file` is missing")
    channel.check_address(url)
    if channel.by_http:
        read_url(url, allow_private=allow_private, allow_http=channel.allow_http)
    routing_key = _secret(entry, "routing_key", folder)
    if kind == "pagerduty" and not routing_key:
        raise TargetRefusedError("`routing_key` or `routing_key_file` is missing")
    signing = _secret(entry, "secret", folder)
    if channel.signs:
        check_secret(signing or "")
    return Target(
        id="tgt_" + hashlib.sha256(f"{project}/{name}".encode()).hexdigest()[:16],
        project=str(project),
        kind=kind,
        url=url,
        name=str(name),
        routing_key=routing_key,
        secrets=(Secret(signing),) if signing and channel.signs else (),
        rules=replace(default_rules(channel), **_rules(entry), since=now),
        created_at=now,
        updated_at=now,
        source="file",
    )


def _rules(entry: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in entry.items() if name in _RULES}
    if "min_severity" in given:
        given["min_severity"] = Severity(_choice("min_severity", given["min_severity"], Severity))
    for name, choices in (("conditions", Condition), ("group_by", GroupBy)):
        if name in given:
            if not isinstance(given[name], list):
                raise TargetRefusedError(f"`{name}` is a list")
            given[name] = frozenset(_choice(name, value, choices) for value in given[name])
    return given


def _choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """``value`` when it is one of the choices; TargetRefusedError names them when it is not."""
    known = [str(choice) for choice in choices]
    if value not in known:
        raise TargetRefusedError(f"`{name}` is one of {', '.join(known)}, not {value!r}")
    return str(value)


def _secret(entry: Mapping[str, Any], name: str, folder: Path) -> str | None:
    if f"{name}_file" in entry:
        path = folder / str(entry[f"{name}_file"])
        try:
            return path.read_text("utf-8").strip()
        except OSError as error:
            raise TargetRefusedError(f"`{name}_file`: {path} cannot be read: {error.strerror}") from None
    value = entry.get(name)
    return None if value is None else str(value)
