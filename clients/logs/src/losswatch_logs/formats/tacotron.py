"""NVIDIA's Tacotron 2 and WaveGlow: ``Train loss 100 0.531 Grad Norm 1.2``, ``100: -5.12``, the step between."""

import re

from losswatch_logs.formats import Format

_NUMBER = r"(-?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf))"

FORMAT = Format(
    name="tacotron",
    sign=re.compile(
        r"^Train loss \d+ \S+ Grad Norm |^\d+:\t" + _NUMBER + r"\n\d+:\t" + _NUMBER + "$",
        re.MULTILINE,
    ),
    rules=(
        (
            re.compile(r"Train loss (\d+) " + _NUMBER + " Grad Norm " + _NUMBER),
            r"step \1 | train loss: \2 | grad norm: \3",
        ),
        (re.compile(r"Validation loss (\d+): +" + _NUMBER), r"step \1 | val loss: \2"),
        (re.compile(r"^(\d+):\t" + _NUMBER + r"\s*$"), r"step \1 | loss: \2"),
    ),
)
