"""Stan's optimizers: a row for each report, with the log probability, which is to be maximised."""

import re

from losswatch_logs.formats import Format

FORMAT = Format(
    name="stan",
    sign=re.compile(r"^\s*Iter\s+log prob\s+\|\|dx\|\|", re.MULTILINE),
    rules=(
        (re.compile(r"^\s*(\d+)\s+(-?\d[\d.e+-]*|nan|-?inf)(?:\s+[\d.e+-]+){5,6}"), r"iteration \1 log-likelihood: \2"),
        (re.compile(r"Initial log joint probability|^\s*Iter\s+log prob"), ""),
    ),
    note="this is a log of Stan's optimizer: it reports a log probability, which is to be maximised",
    framework="stan",
)
