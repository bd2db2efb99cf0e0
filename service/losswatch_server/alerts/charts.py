"""Charts for messages that carry one in them. A chart that cannot be drawn costs no message."""

from __future__ import annotations

import asyncio
import logging

from losswatch_server.alerts.egress.redaction import ScrubbingFilter
from losswatch_server.alerts.message import Message
from losswatch_server.pictures.chart import chart
from losswatch_server.pictures.gather import RunReader, picture_of
from losswatch_server.pictures.png import png
from losswatch_server.runs.answers import RunNotFoundError

logger = logging.getLogger(__name__)
logger.addFilter(ScrubbingFilter())


class Charts:
    """Draws one chart at a time: each takes a tenth of a second of a core and 30 MB."""

    def __init__(self, runs: RunReader) -> None:
        self._runs = runs
        self._turn = asyncio.Lock()

    async def draw(self, message: Message) -> bytes | None:
        """The chart (PNG) of the one run that a message is about; None where there is none."""
        entry = message.detail
        if entry is None or not entry.uid:
            return None
        try:
            async with self._turn:
                picture = await picture_of(self._runs, message.project, entry.run)
                return await asyncio.to_thread(lambda: png(chart(picture)))
        except RunNotFoundError:
            return None
        except Exception:
            logger.exception("the chart of run %s of project %s was not drawn", entry.run, message.project)
            return None
