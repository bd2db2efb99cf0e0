"""Planning: what the stages that plan share: one state of the database, what they read of it, what will be written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from losswatch_server.alerts import row_codec
from losswatch_server.alerts.grouping import Budget, GroupKey, Review
from losswatch_server.alerts.incidents import Incident
from losswatch_server.alerts.mute_rules import MuteRule
from losswatch_server.alerts.policy import Surroundings
from losswatch_server.alerts.targets import Target, TargetState
from losswatch_server.codec import damage
from losswatch_server.codec.damage import MISSHAPEN
from losswatch_server.store.alerting import configuration, outbox
from losswatch_server.store.alerting.deliveries import DeliveryRow
from losswatch_server.store.alerting.outbox import Cursor, GroupRow
from losswatch_server.store.connection import DatabaseConnection


@dataclass(slots=True)
class Plan:
    """What one pass will write. ``retired`` are (project, delivery, state, detail)."""

    seen: Cursor
    event_id: int
    incidents: list[Incident] = field(default_factory=list)
    groups: list[GroupRow] = field(default_factory=list)
    idle_groups: list[tuple[str, str, str]] = field(default_factory=list)
    deliveries: list[DeliveryRow] = field(default_factory=list)
    retired: list[tuple[str, str, str, str]] = field(default_factory=list)
    complete: bool = True

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return self.event_id == self.seen.event_id and not (self.groups or self.idle_groups)


@dataclass(slots=True)
class Planning:
    """One pass over one state of the database. Stages add to ``plan`` and leave to the next what it needs:
    ``touched`` are the groups (target, key) that events changed, ``speaking`` the reviews that make a message."""

    connection: DatabaseConnection
    now: float
    new_id: Callable[[], str]
    plan: Plan
    touched: dict[tuple[str, str], tuple[Target, GroupKey]] = field(default_factory=dict)
    speaking: list[tuple[Target, Review]] = field(default_factory=list)
    changed: dict[tuple[str, str, str], Incident] = field(default_factory=dict)
    budgets: dict[str, Budget] = field(default_factory=dict)
    _incidents: dict[tuple[str, str], dict[str, Incident]] = field(default_factory=dict)
    _targets: dict[str, list[Target]] = field(default_factory=dict)
    _mute_rules: dict[str, tuple[MuteRule, ...]] = field(default_factory=dict)

    def incidents_of_run(self, project: str, uid: str) -> dict[str, Incident]:
        """All incidents of a run by id, as this pass has changed them."""
        if (project, uid) not in self._incidents:
            rows = outbox.incidents_of_run(self.connection, project, uid)
            found = row_codec.sound(row_codec.incident_from, rows)
            self._incidents[project, uid] = {incident.id: incident for incident in found}
        return self._incidents[project, uid]

    def targets_of(self, project: str) -> list[Target]:
        """The targets of a project that are not switched off."""
        if project not in self._targets:
            rows = configuration.targets(self.connection, project)
            found = [row_codec.target_from(row) for row in rows]
            self._targets[project] = [t for t in found if t.state is not TargetState.DISABLED]
        return self._targets[project]

    def surroundings(self, project: str, members: Iterable[Incident]) -> Surroundings:
        """What the policy wants to know besides the incidents themselves."""
        if project not in self._mute_rules:
            rows = configuration.mute_rules_in_force(self.connection, project, self.now)
            self._mute_rules[project] = tuple(row_codec.sound(row_codec.mute_rule_from, rows))
        by_run = {i.uid: tuple(self.incidents_of_run(project, i.uid).values()) for i in members}
        return Surroundings(mute_rules=self._mute_rules[project], by_run=by_run)


@contextmanager
def alone(what: str, *key: object) -> Iterator[list[BaseException]]:
    """What one damaged row leads to costs that row alone, and not all notifications for ever."""
    failed: list[BaseException] = []
    try:
        yield failed
    except MISSHAPEN as error:
        damage.note(what, key, error)
        failed.append(error)
