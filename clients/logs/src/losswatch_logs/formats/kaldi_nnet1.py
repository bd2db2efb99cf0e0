"""Kaldi's nnet1: ``ITERATION 01: TRAIN AVG.LOSS 2.31, (lrate0.008), CROSSVAL AVG.LOSS 2.40``."""

import re

from losswatch_logs.formats import Format

_NUMBER = r"(-?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf))"

FORMAT = Format(
    name="kaldi-nnet1",
    sign=re.compile(r"TRAIN AVG\.LOSS "),
    rules=(
        (
            re.compile(r"ITERATION (\d+): TRAIN AVG\.LOSS " + _NUMBER + r".*?CROSSVAL AVG\.LOSS " + _NUMBER),
            r"iteration \1 train loss: \2 val loss: \3",
        ),
    ),
    framework="kaldi",
)
