"""Changes that no test notices, each with the reason why none has to."""

from __future__ import annotations

import re
from collections.abc import Mapping

REASONS: Mapping[str, str] = {
    r"engine\.ROWS\['no_epoch_finite'\]\.against: dropped": "speaks weakly against a bad batch, which is far behind "
    "wherever no epoch was finite",
}
"""A regular expression that the whole name of a change matches, and the reason."""


def reason(name: str) -> str | None:
    """Why nothing has to notice a change; None where nobody said."""
    return next((why for pattern, why in REASONS.items() if re.fullmatch(pattern, name)), None)
