"""Explanations and comparisons as JSON: their numbers rounded like evidence, the values of the series exact."""

from __future__ import annotations

from typing import Any

from losswatch_server.codec.encoding import plain, rounded
from losswatch_server.monitor.replay import Explanation
from losswatch_server.monitor.siblings import Standing

_QUANTILES = ("lowest", "lower_quartile", "median", "upper_quartile", "highest")


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """One finding explained; ``values`` by ascending step."""
    return {
        "finding": explanation.finding,
        "condition": str(explanation.condition),
        "series": explanation.series,
        "rule": explanation.rule,
        "statistic": explanation.statistic,
        "unit": explanation.unit,
        "alarms": "above" if explanation.above else "below",
        "threshold": rounded(explanation.threshold),
        "values": [
            {
                "step": row.step,
                "value": plain(row.value),
                "statistic": rounded(row.statistic),
                "threshold": rounded(row.threshold),
                "failed": row.failed,
            }
            for row in explanation.values
        ],
        "tests": [
            {
                "name": test.name,
                "value": rounded(test.value),
                "threshold": rounded(test.threshold),
                "alarms": "above" if test.above else "below",
                "unit": test.unit,
            }
            for test in explanation.tests
        ],
        "used_points": {"from_step": explanation.used[0], "to_step": explanation.used[1]},
        "onset_step": explanation.onset_step,
        "opened_step": explanation.opened_step,
    }


def standing_json(standing: Standing) -> dict[str, Any]:
    """Where a run stands among its siblings; who the run is stands beside it."""
    quantiles = standing.quantiles
    return {
        "group": standing.group,
        "sentence": standing.sentence,
        "step": standing.step,
        "loss": rounded(standing.loss),
        "rank": standing.rank,
        "compared": len(standing.siblings),
        "worse_than": standing.worse_than,
        "better_than": standing.better_than,
        "not_reached": standing.not_reached,
        "quantiles": None if quantiles is None else dict(zip(_QUANTILES, map(rounded, quantiles), strict=True)),
        "siblings": [
            {
                "run": sibling.run,
                "uid": sibling.uid,
                "attempt": sibling.attempt,
                "loss": rounded(sibling.loss),
                "earlier": sibling.earlier,
            }
            for sibling in standing.siblings
        ],
    }
