"""AllenNLP's console: a row for each metric, with a column for the training and one for the validation."""

import re

from losswatch_logs.formats import Format

_NUMBER = r"([-+]?(?:[\d.]+(?:e[-+]?\d+)?|nan|inf))"

FORMAT = Format(
    name="allennlp",
    sign=re.compile(r"\bTraining \|\s+Validation\s*$", re.MULTILINE),
    rules=(
        (re.compile(rf"^(?:.* - )?\s*loss\s+\|\s+{_NUMBER}\s+\|\s+{_NUMBER}\s*$"), r"loss: \1, val loss: \2"),
        (re.compile(rf"^(?:.* - )?\s*loss\s+\|\s+{_NUMBER}\s+\|\s+N/A\s*$"), r"loss: \1"),
    ),
    framework="allennlp",
)
