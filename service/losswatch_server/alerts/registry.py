"""The use cases behind the API and the targets file: targets, mute rules, the delivery log."""

from __future__ import annotations

import secrets as random_secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from losswatch_server.alerts import row_codec
from losswatch_server.alerts.channels import BY_KIND
from losswatch_server.alerts.channels.channel import Channel, ChannelDeps
from losswatch_server.alerts.deliverer import Deliverer
from losswatch_server.alerts.egress import signing
from losswatch_server.alerts.egress.addresses import TargetRefusedError, read_url
from losswatch_server.alerts.egress.retry import Outcome, Result
from losswatch_server.alerts.egress.signing import Secret
from losswatch_server.alerts.grouping import GroupKey
from losswatch_server.alerts.mute_rules import Matcher, MuteRule
from losswatch_server.alerts.policy import Rules
from losswatch_server.alerts.service_messages import sample
from losswatch_server.alerts.stages.compose import delivery_row
from losswatch_server.alerts.stages.settle import DeliveryTry
from losswatch_server.alerts.targets import Target, TargetState
from losswatch_server.store.alerting import configuration, deliveries
from losswatch_server.store.alerting.deliveries import DeliveryRow
from losswatch_server.store.transactions import Transactions

MAX_TARGETS = 100
MAX_MUTE_RULES = 1_000
TESTS_PER_MINUTE = 10
OLD_SECRET_S = 86_400.0
"""A replaced signing secret signs beside the new one for a day."""


class NoSuchTargetError(LookupError):
    """The project has no such target."""


class NoSuchDeliveryError(LookupError):
    """The target has no such delivery."""


class NoSuchMuteRuleError(LookupError):
    """The project has no such mute_rule."""


class TargetFromFileError(Exception):
    """The target is described in the operator's targets file and is changed there."""


class TooManyError(Exception):
    """The project has as many as it may have, or asked too often; ``retry_after_s`` where waiting helps."""

    def __init__(self, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a test message."""

    outcome: Outcome
    duration_s: float
    delivery: str


class Registry:
    """Targets and mute rules of all projects. ``wake`` is called when something may be sent."""

    def __init__(
        self,
        store: Transactions,
        deps: ChannelDeps,
        deliverer: Deliverer,
        new_id: Callable[[], str],
        wake: Callable[[], None],
        *,
        allow_private: bool,
    ) -> None:
        self._store = store
        self._deps = deps
        self._deliverer = deliverer
        self._new_id = new_id
        self._wake = wake
        self._allow_private = allow_private
        self._tests: dict[str, deque[float]] = {}

    async def create(
        self,
        project: str,
        kind: str,
        url: str | None,
        rules: Mapping[str, Any],
        *,
        name: str = "",
        routing_key: str | None = None,
        secret: str | None = None,
    ) -> Target:
        """Make a target. ``rules`` has the fields of ``policy.Rules`` that are given.

        Raises TargetRefusedError with what to change, TooManyError.
        """
        channel = await self._checked(kind, url, routing_key)
        if secret is not None and not channel.signs:
            raise TargetRefusedError(f"{kind} targets are not signed: leave `secret` out")
        now = self._deps.clock()
        target = Target(
            id="tgt_" + random_secrets.token_hex(8),
            project=project,
            kind=kind,
            url=url or channel.default_url or "",
            name=name,
            routing_key=routing_key,
            secrets=(Secret(_checked_secret(secret)),) if channel.signs else (),
            rules=replace(default_rules(channel), **rules, since=now),
            created_at=now,
            updated_at=now,
        )

        def insert(connection: Any) -> None:
            if len(configuration.targets(connection, project)) >= MAX_TARGETS:
                raise TooManyError(f"a project has at most {MAX_TARGETS} targets")
            configuration.put_target(connection, row_codec.target_row(target))

        await self._store.write(insert)
        return target

    @property
    def warnings(self) -> list[str]:
        """What the operator should know before relying on targets."""
        return [self._deps.links.warning] if self._deps.links.warning else []

    async def targets(self, project: str) -> list[Target]:
        """The targets of a project, oldest first."""
        rows = await self._store.read(partial(configuration.targets, project=project))
        return [row_codec.target_from(row) for row in rows]

    async def any_targets(self) -> bool:
        """Whether any project has a target."""
        return bool(await self._store.read(configuration.targets))

    async def target(self, project: str, target_id: str) -> Target:
        """One target. Raises NoSuchTargetError."""
        row = await self._store.read(partial(configuration.target, project=project, target_id=target_id))
        if row is None:
            raise NoSuchTargetError(target_id)
        return row_codec.target_from(row)

    async def amend(
        self,
        project: str,
        target_id: str,
        rules: Mapping[str, Any],
        *,
        name: str | None = None,
        url: str | None = None,
        routing_key: str | None = None,
        enabled: bool | None = None,
    ) -> Target:
        """Change what is given. Raises NoSuchTargetError, TargetFromFileError, TargetRefusedError."""
        before = await self._sound(project, target_id)
        if url is not None or routing_key is not None:
            await self._checked(before.kind, url or before.url, routing_key or before.routing_key)
        state = before.state
        if enabled is not None:
            state = TargetState.DISABLED if not enabled else TargetState.ACTIVE
        was_off = before.state is TargetState.DISABLED
        now = self._deps.clock()
        target = replace(
            before,
            rules=replace(before.rules, **rules),
            name=before.name if name is None else name,
            url=url or before.url,
            routing_key=routing_key or before.routing_key,
            state=state,
            failing_since=None if enabled else before.failing_since,
            disabled_reason=_disabled_reason(before, state),
            updated_at=now,
        )
        if was_off and state is TargetState.ACTIVE:
            target = replace(target, rules=replace(target.rules, since=now))
        await self._store.write(partial(configuration.put_target, row=row_codec.target_row(target)))
        self._wake()
        return target

    async def rotate(self, project: str, target_id: str) -> tuple[Target, str]:
        """Give a target a new signing secret; the old one signs too for a day."""
        before = await self._sound(project, target_id)
        if not before.secrets:
            raise TargetRefusedError(f"{before.kind} targets are not signed")
        now = self._deps.clock()
        fresh = signing.new_secret()
        old = [replace(s, until=now + OLD_SECRET_S) if s.until is None else s for s in before.secrets]
        in_force = [s for s in old if s.until is not None and s.until > now]
        target = replace(before, secrets=(Secret(fresh), *in_force), updated_at=now)
        await self._store.write(partial(configuration.put_target, row=row_codec.target_row(target)))
        return target, fresh

    async def remove(self, project: str, target_id: str) -> None:
        """Delete a target with its log. Raises NoSuchTargetError, TargetFromFileError."""
        await self._editable(project, target_id)
        await self._store.write(partial(configuration.delete_target, project=project, target_id=target_id))

    async def test(self, project: str, target_id: str) -> Tried:
        """Send a sample now, once; it is in the log. Raises NoSuchTargetError, TooManyError."""
        target = await self.target(project, target_id)
        self._count_test(project)
        now = self._deps.clock()
        said = sample(target, self._new_id(), now, self._deps.links.warning)
        outcome = await self._deliverer.send(said, target)
        tried = DeliveryTry(now, self._deps.clock(), outcome)
        state = "delivered" if outcome.result is Result.DELIVERED else "failed"
        key = GroupKey(project=project, incident_class="test", uid=target.id)
        row = delivery_row(said, target, key)._replace(
            state=state, tries=1, finished_at=tried.ended, status=outcome.status, detail=outcome.detail,
            attempts=row_codec.dumps([tried.as_json()]),
        )  # fmt: skip
        await self._store.write(partial(deliveries.add, row=row))
        return Tried(outcome, tried.ended - tried.began, said.id)

    async def log(
        self, project: str, target_id: str, *, state: str | None = None, before: int | None = None, limit: int = 50
    ) -> list[DeliveryRow]:
        """Deliveries of a target, newest first. Raises NoSuchTargetError."""
        await self.target(project, target_id)
        return await self._store.read(
            partial(deliveries.log, project=project, target=target_id, state=state, before=before, limit=limit)
        )

    async def redeliver(self, project: str, target_id: str, delivery_id: str) -> DeliveryRow:
        """Send one delivery again under its own id. Raises NoSuchTargetError, NoSuchDeliveryError."""
        await self.target(project, target_id)
        now = self._deps.clock()
        await self._store.write(
            partial(deliveries.revive, project=project, target=target_id, ids=[delivery_id], now=now)
        )
        row = await self._store.read(
            partial(deliveries.find, project=project, target=target_id, delivery_id=delivery_id)
        )
        if row is None:
            raise NoSuchDeliveryError(delivery_id)
        self._wake()
        return row

    async def recover(self, project: str, target_id: str, since: float) -> int:
        """Send again everything that never arrived since then, in order; how many that is."""
        await self.target(project, target_id)
        now = self._deps.clock()

        def revive(connection: Any) -> int:
            lost = deliveries.failed_since(connection, project, target_id, since)
            return deliveries.revive(connection, project, target_id, lost, now)

        revived = await self._store.write(revive)
        self._wake()
        return revived

    async def mute(
        self, project: str, matchers: tuple[Matcher, ...], starts_at: float | None, ends_at: float, comment: str
    ) -> MuteRule:
        """Make a mute rule, from now unless said otherwise. Raises ValueError, TooManyError."""
        now = self._deps.clock()
        begins = now if starts_at is None else starts_at
        if ends_at <= max(begins, now):
            raise ValueError("a silence ends after it begins, and not in the past")
        mute_rule = MuteRule(
            id="sil_" + random_secrets.token_hex(8),
            project=project,
            matchers=matchers,
            starts_at=begins,
            ends_at=ends_at,
            comment=comment,
            created_at=now,
        )

        def insert(connection: Any) -> None:
            if len(configuration.mute_rules_in_force(connection, project, now)) >= MAX_MUTE_RULES:
                raise TooManyError(f"a project has at most {MAX_MUTE_RULES} silences at a time")
            configuration.put_mute_rule(connection, row_codec.mute_rule_row(mute_rule))

        await self._store.write(insert)
        return mute_rule

    async def mute_rules(self, project: str) -> list[MuteRule]:
        """All mute rules of a project, newest first."""
        rows = await self._store.read(partial(configuration.mute_rules, project=project))
        return row_codec.sound(row_codec.mute_rule_from, rows)

    async def end_mute_rule(self, project: str, mute_rule_id: str) -> None:
        """End a mute rule now. Raises NoSuchMuteRuleError."""
        now = self._deps.clock()
        if not await self._store.write(
            partial(configuration.end_mute_rule, project=project, rule_id=mute_rule_id, now=now)
        ):
            raise NoSuchMuteRuleError(mute_rule_id)
        self._wake()

    async def _checked(self, kind: str, url: str | None, routing_key: str | None) -> Channel:
        channel = BY_KIND.get(kind)
        if channel is None or kind == "apprise":
            known = ", ".join(sorted(k for k in BY_KIND if k != "apprise"))
            raise TargetRefusedError(f"`kind` is one of {known}; apprise targets come from the operator's targets file")
        address = url or channel.default_url
        if not address:
            raise TargetRefusedError("`url` is missing")
        if kind != "pagerduty" and routing_key:
            raise TargetRefusedError(f"{kind} targets have no `routing_key`: it belongs to PagerDuty")
        if kind == "pagerduty" and not routing_key:
            raise TargetRefusedError("PagerDuty needs the `routing_key` of an Events API v2 integration")
        try:
            channel.check_address(address)
        except ValueError as error:
            raise TargetRefusedError(str(error)) from None
        if channel.by_http:
            read_url(address, allow_private=self._allow_private, allow_http=channel.allow_http)
            await self._deps.egress.check(address, allow_http=channel.allow_http)
        elif kind == "email" and self._deps.mail is None:
            raise TargetRefusedError("this service has no mail server: the operator can name one with --smtp-url")
        return channel

    async def _editable(self, project: str, target_id: str) -> Target:
        target = await self.target(project, target_id)
        if target.source == "file":
            raise TargetFromFileError(target_id)
        return target

    async def _sound(self, project: str, target_id: str) -> Target:
        target = await self._editable(project, target_id)
        if target.disabled_reason == row_codec.DAMAGED:
            raise TargetRefusedError(row_codec.DAMAGED)
        return target

    def _count_test(self, project: str) -> None:
        now = self._deps.clock()
        recent = self._tests.setdefault(project, deque())
        while recent and recent[0] <= now - 60:
            recent.popleft()
        if len(recent) >= TESTS_PER_MINUTE:
            raise TooManyError(f"at most {TESTS_PER_MINUTE} tests a minute", recent[0] + 60 - now)
        recent.append(now)


def default_rules(channel: Channel) -> Rules:
    """The rules of a target that says nothing about them."""
    return Rules(
        max_per_hour=channel.max_per_hour,
        tracks_state=channel.tracks_state,
        repeat_interval_s=channel.repeat_interval_s,
        group_by=channel.group_by,
    )


def _checked_secret(secret: str | None) -> str:
    if secret is None:
        return signing.new_secret()
    try:
        signing.check_secret(secret)
    except ValueError as error:
        raise TargetRefusedError(str(error)) from None
    return secret


def _disabled_reason(before: Target, state: TargetState) -> str | None:
    if state is not TargetState.DISABLED:
        return None
    return before.disabled_reason or "switched off by a person"
