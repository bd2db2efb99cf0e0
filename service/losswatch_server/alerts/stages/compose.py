"""Stage 3, compose: reviews that speak become messages on their way to their targets."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from losswatch_server.alerts import message, row_codec
from losswatch_server.alerts.channels import BY_KIND
from losswatch_server.alerts.grouping import GroupKey, Review
from losswatch_server.alerts.message import Message
from losswatch_server.alerts.stages.planning import Planning
from losswatch_server.alerts.stages.review import budget_of
from losswatch_server.alerts.sweep import apart
from losswatch_server.alerts.targets import Target
from losswatch_server.store.alerting import deliveries, watching
from losswatch_server.store.alerting.deliveries import DeliveryRow


def compose(work: Planning) -> None:
    """Put reviews into messages. People get one list for what is more than they read one by one, and one message for
    all that waits for them of a group; programs get each."""
    by_target: dict[str, list[tuple[Target, Review]]] = defaultdict(list)
    for target, review in work.speaking:
        by_target[target.id].append((target, review))
    for spoken in by_target.values():
        target, reviews = spoken[0][0], [review for _, review in spoken]
        if len(reviews) > budget_of(target, work).room(work.now):
            _write(target, reviews, GroupKey(project=target.project, incident_class="digest"), work)
        else:
            for review in reviews:
                _write(target, [review], review.group.key, work)


def _write(target: Target, reviews: list[Review], key: GroupKey, work: Planning) -> None:
    said: Message | None = message.compose(reviews, key.text(), work.new_id(), work.now)
    if BY_KIND[target.kind].for_people:
        keys = dict.fromkeys((key.text(), *(review.group.key.text() for review in reviews)))
        waiting = [row for k in keys for row in deliveries.waiting(work.connection, target.project, target.id, k)]
        for row in sorted(waiting, key=lambda row: -row.number):
            if said is not None:
                said = _superseding(row, said)
            work.plan.retired.append((row.project, row.id, "superseded", "a later message says more"))
    if said is not None:
        work.plan.deliveries.append(delivery_row(_with_sweep(said, work), target, key))


def _with_sweep(said: Message, work: Planning) -> Message:
    """A message about several runs of a sweep, with how many there are and what sets those apart."""
    faulty = {entry.uid for entry in said.entries}
    if not said.sweep or len(faulty) < 2:
        return said
    runs = row_codec.sound(row_codec.sweep_run_from, watching.sweep(work.connection, said.project, said.sweep))
    return replace(said, size=len(runs) or None, apart="" if said.is_recovery else apart(runs, faulty))


def delivery_row(said: Message, target: Target, key: GroupKey) -> DeliveryRow:
    """A message on its way. Its lane is the run where groups are by run, the sweep elsewhere: a lane keeps order."""
    return DeliveryRow(
        project=target.project,
        id=said.id,
        target=target.id,
        number=0,
        lane=key.uid or key.sweep or "",
        key=key.text(),
        reason=said.reason.value,
        state="pending",
        created_at=said.at,
        next_at=said.at,
        tries=0,
        claim=None,
        claimed_until=None,
        finished_at=None,
        status=None,
        detail="",
        attempts="[]",
        body=row_codec.dumps(message.as_json(said)),
    )


def _superseding(row: DeliveryRow, said: Message) -> Message | None:
    """The message that stands for an older one too; for itself alone where the older one is damaged."""
    try:
        return message.supersede(row_codec.message_from(row), said)
    except row_codec.DamagedRowError:
        return said
