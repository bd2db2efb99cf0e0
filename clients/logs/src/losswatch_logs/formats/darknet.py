"""Darknet: ``501: 21.5, 22.4 avg loss, 0.001000 rate, 2.01 seconds, 32064 images``, values before their names."""

import re

from losswatch_logs.formats import Format

_NUMBER = r"(-?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf))"

FORMAT = Format(
    name="darknet",
    sign=re.compile(r"^\s*\d+: [-\d.naif]+, [-\d.naif]+ avg(?: loss)?, [\d.]+ rate", re.MULTILINE),
    rules=(
        (
            re.compile(r"^\s*(\d+): " + _NUMBER + ", " + _NUMBER + r" avg(?: loss)?, ([\d.]+) rate"),
            r"step \1 | total loss: \2 | avg loss: \3 | lr: \4",
        ),
        (re.compile(r"^\s*(?:Region|v3|Loaded|Saving|\(next)"), "another line"),
    ),
    framework="darknet",
)
