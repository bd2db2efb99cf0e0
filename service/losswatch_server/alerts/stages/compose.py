"""Stage 3, compose: a review that speaks becomes a message on its way to its target."""

from __future__ import annotations

from losswatch_server.alerts import message, row_codec
from losswatch_server.alerts.channels import BY_KIND
from losswatch_server.alerts.grouping import GroupKey
from losswatch_server.alerts.message import Message
from losswatch_server.alerts.stages.planning import Planning
from losswatch_server.alerts.targets import Target
from losswatch_server.store.alerting import deliveries
from losswatch_server.store.alerting.deliveries import DeliveryRow


def compose(work: Planning) -> None:
    """Put reviews into messages. People get one message for all that waits for them, programs each."""
    for target, result in work.speaking:
        said: Message | None = message.compose(result, work.new_id(), work.now)
        if BY_KIND[target.kind].for_people:
            key = result.group.key.text()
            for row in deliveries.waiting(work.connection, target.project, target.id, key)[::-1]:
                if said is not None:
                    said = _superseding(row, said)
                work.plan.retired.append((row.project, row.id, "superseded", "a later message says more"))
        if said is not None:
            work.plan.deliveries.append(delivery_row(said, target, result.group.key))


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
