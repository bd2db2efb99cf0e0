"""Changes that no test notices, each with the reason why none has to."""

from __future__ import annotations

import re
from collections.abc import Mapping

NEEDS_AS_MANY = "the rule needs to know the noise of as many points, and is silent before whatever this number says"
REASONS: Mapping[str, str] = {
    r"engine\.ROWS\['no_epoch_finite'\]\.against: dropped": "speaks weakly against a bad batch, which is far behind "
    "wherever no epoch was finite",
    r"engine\.ROWS\['few_parameters'\]\.against: dropped": "the fit left 0.27 of it: that moves a probability by a few "
    "hundredths and turns no order of causes",
    r"engine\.ROWS\['a_little_under_chance'\]\.against: dropped": "the fit left nothing of it",
    r"FlatParameters\.(few_floor_points: 10 -> 5|lost_few_points: 12 -> 6|unmoved_evaluations: 6 -> 3)": NEEDS_AS_MANY,
    r"(Oscillation\.least_points: 32 -> 16|Overfitting\.least_points: 5 -> 2)": NEEDS_AS_MANY,
}
"""A regular expression that the whole name of a change matches, and the reason."""


def reason(name: str) -> str | None:
    """Why nothing has to notice a change; None where nobody said."""
    return next((why for pattern, why in REASONS.items() if re.fullmatch(pattern, name)), None)
