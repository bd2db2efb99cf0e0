"""Evidence for and against each cause: one tuple of rows a series, each with its measure, sentence and grades."""

from __future__ import annotations

from losswatch_server.monitor.diagnosis.evidence.breaks import BREAKS
from losswatch_server.monitor.diagnosis.evidence.events import EVENTS
from losswatch_server.monitor.diagnosis.evidence.facts_of_data import FACTS_OF_DATA
from losswatch_server.monitor.diagnosis.evidence.facts_of_model import FACTS_OF_MODEL
from losswatch_server.monitor.diagnosis.evidence.facts_of_state import FACTS_OF_STATE
from losswatch_server.monitor.diagnosis.evidence.gradient import GRADIENT
from losswatch_server.monitor.diagnosis.evidence.jumps import JUMPS
from losswatch_server.monitor.diagnosis.evidence.loss import LOSS
from losswatch_server.monitor.diagnosis.evidence.metrics import METRICS
from losswatch_server.monitor.diagnosis.evidence.rates import RATES
from losswatch_server.monitor.diagnosis.evidence.row import Evidence
from losswatch_server.monitor.diagnosis.evidence.scatter import SCATTER
from losswatch_server.monitor.diagnosis.evidence.settings import SETTINGS
from losswatch_server.monitor.diagnosis.evidence.start import START
from losswatch_server.monitor.diagnosis.evidence.stuck import STUCK
from losswatch_server.monitor.diagnosis.evidence.validation import VALIDATION

ROWS: tuple[Evidence, ...] = (
    *FACTS_OF_MODEL,
    *FACTS_OF_STATE,
    *FACTS_OF_DATA,
    *EVENTS,
    *BREAKS,
    *JUMPS,
    *START,
    *LOSS,
    *STUCK,
    *GRADIENT,
    *SCATTER,
    *VALIDATION,
    *METRICS,
    *RATES,
    *SETTINGS,
)
"""Every row; facts first, so that they are quoted first."""

__all__ = ["ROWS", "Evidence"]
