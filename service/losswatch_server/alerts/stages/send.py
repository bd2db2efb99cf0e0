"""Stage 5, send: one try through the channel of the target's kind, whatever happens in it."""

from __future__ import annotations

import asyncio
import logging

from losswatch_server.alerts.channels import BY_KIND
from losswatch_server.alerts.channels.channel import ChannelDeps
from losswatch_server.alerts.egress.redaction import ScrubbingFilter, scrub
from losswatch_server.alerts.egress.retry import Outcome, Result
from losswatch_server.alerts.message import Message
from losswatch_server.alerts.targets import Target

logger = logging.getLogger(__name__)
logger.addFilter(ScrubbingFilter())

SEND_LIMIT_S = 60.0
"""Well under ``claim.LEASE_S``: a claim never lapses while its worker is still sending."""


async def send(said: Message, target: Target, deps: ChannelDeps) -> Outcome:
    """One try. Never raises; no secret stands in what it says."""
    try:
        async with asyncio.timeout(SEND_LIMIT_S):
            return await BY_KIND[target.kind].send(said, target, deps)
    except TimeoutError:
        return Outcome(result=Result.RETRY, detail=f"not done within {SEND_LIMIT_S:g} s")
    except Exception as error:  # noqa: BLE001 - one broken message must not stop the others
        logger.warning("notification %s to %s failed: %s", said.id, target.label, error)
        return Outcome(result=Result.REJECTED, detail=scrub(f"{type(error).__name__}: {error}"))
