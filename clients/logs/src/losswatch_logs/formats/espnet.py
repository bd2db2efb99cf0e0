"""ESPnet 2: ``1epoch:train:1-100batch: iter_time=0.1, loss=75.2``, and a line with the results of each epoch."""

import re

from losswatch_logs.formats import Format

FORMAT = Format(
    name="espnet",
    sign=re.compile(r"\d+epoch:train:|\d+epoch results: \[train\]"),
    rules=(
        (re.compile(r"(\d+)epoch:train:\d+-(\d+)batch: (.*)"), r"epoch \1 | batch \2 | \3"),
        (re.compile(r"(\d+)epoch results: \[train\] (.*?), \[valid\] (.*)"), r"epoch \1 | epoch mean \2 | valid | \3"),
    ),
    framework="espnet",
)
