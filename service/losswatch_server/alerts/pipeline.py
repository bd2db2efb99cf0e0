"""The way of a notification, from a commit of points to a receiver's answer.

A commit of points writes an event into the outbox (``store``: the table ``event``) in its own transaction and wakes
``service.Alerts``. From there a notification passes six stages, each a function in its module under ``stages``:

1. ``absorb``: the next events are folded into *incidents*: a finding, a run that went silent, or a notice.
2. ``review``: each group of incidents that changed or is due is decided about, for each target: ``policy.decide``
   says of one incident whether the target is told and why (not), ``grouping.review`` whether a message is made now.
3. ``compose``: what is to be told becomes a *message*, without any channel's words, and a row of the delivery log.

``dispatcher.Dispatcher`` runs these three on one reader's view of the database and commits what they planned in one
transaction, with the cursor of the outbox compared and swapped: an event leads to its deliveries exactly once.

4. ``claim``: a worker takes the first delivery of each receiver's lane, for as long as a try can last.
5. ``send``: the channel of the target's kind puts the message in its own words and posts it through ``egress``.
6. ``settle``: what became of the try is written down: delivered, tried again later, given up; the target's health.

``deliverer.Deliverer`` runs these three, one message per receiver at a time. A process that dies between 4 and 6
leaves a claim that lapses: the message goes out again under the same id (at least once).
"""

from __future__ import annotations

from losswatch_server.alerts.stages.absorb import absorb
from losswatch_server.alerts.stages.claim import claim
from losswatch_server.alerts.stages.compose import compose
from losswatch_server.alerts.stages.review import review
from losswatch_server.alerts.stages.send import send
from losswatch_server.alerts.stages.settle import settle

PLANNING = (absorb, review, compose)
"""What the dispatcher runs, in this order, on one ``Planning``."""

DELIVERING = (claim, send, settle)
"""What the deliverer runs, in this order, on each delivery."""

PIPELINE = (*PLANNING, *DELIVERING)

__all__ = ["DELIVERING", "PIPELINE", "PLANNING", "absorb", "claim", "compose", "review", "send", "settle"]
