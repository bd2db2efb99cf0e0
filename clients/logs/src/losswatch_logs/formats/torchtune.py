"""torchtune: ``1|25|Loss: 1.23:   3%|▎ | 25/1000``, epoch and step before the loss."""

import re

from losswatch_logs.formats import Format

FORMAT = Format(
    name="torchtune",
    sign=re.compile(r"^\s*\d+\|\d+\|Loss: ", re.MULTILINE),
    rules=((re.compile(r"^\s*(\d+)\|(\d+)\|Loss: ([^:\s]+)"), r"epoch \1 | global step \2 | loss: \3"),),
    framework="torchtune",
)
