"""WeNet: ``TRAIN Batch 4/200 loss 12.6 …`` is epoch and batch; ``CV`` is the validation; each process writes."""

import re

from losswatch_logs.formats import Format

FORMAT = Format(
    name="wenet",
    sign=re.compile(r"\b(?:TRAIN|CV) Batch \d+/\d+ loss "),
    rules=(
        (re.compile(r"\b(?:TRAIN|CV) Batch .* rank [1-9]\d*\s*$"), "another process"),
        (re.compile(r"\bTRAIN Batch (\d+)/(\d+) (.*?)(?: rank 0)?\s*$"), r"epoch \1 batch \2 \3"),
        (re.compile(r"\bCV Batch (\d+)/\d+ loss (\S+)"), r"epoch \1 val loss \2"),
    ),
)
