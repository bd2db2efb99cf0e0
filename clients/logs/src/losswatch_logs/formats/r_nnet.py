"""R's nnet: the criterion after every tenth iteration of its quasi-Newton method."""

import re

from losswatch_logs.formats import Format

_NUMBER = r"(-?(?:\d+\.?\d*(?:e[-+]?\d+)?|NaN|nan|-?Inf))"

FORMAT = Format(
    name="nnet",
    sign=re.compile(r"^# weights:\s+\d+", re.MULTILINE),
    rules=(
        (re.compile(rf"^initial\s+value\s+{_NUMBER}"), r"step 0 loss: \1"),
        (re.compile(rf"^iter\s+(\d+)\s+value\s+{_NUMBER}"), r"step \1 loss: \2"),
        (re.compile(r"^final\s+value"), "the end"),
    ),
    note="the value is the fitting criterion, summed over the samples",
    framework="nnet",
)
