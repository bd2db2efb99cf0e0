"""scikit-learn's SGD models: the norm is that of the weights, not of a gradient."""

import re

from losswatch_logs.formats import Format

FORMAT = Format(
    name="scikit-learn",
    sign=re.compile(r"^Norm: \S+, NNZs: \d+, Bias:", re.MULTILINE),
    rules=((re.compile(r"^Norm: \S+, NNZs: \d+, Bias: .*?, T: \d+, Avg\. loss: (\S+?)(?:,|$)"), r"Avg loss: \1"),),
    framework="sklearn",
)
