"""llm.c's main.log: ``s:10 trl:5.1``, ``s:0 tel:11.0``."""

import re

from losswatch_logs.formats import Format

FORMAT = Format(
    name="llm.c",
    sign=re.compile(r"^s:\d+ t(?:el|rl):", re.MULTILINE),
    rules=(
        (re.compile(r"^s:(\d+) tel:(\S+)"), r"step \1 | val loss: \2"),
        (
            re.compile(r"^s:(\d+) trl:(\S+)(?: lr:(\S+))?(?: norm:(\S+))?"),
            r"step \1 | train loss: \2 | lr: \3 | grad norm: \4",
        ),
    ),
)
