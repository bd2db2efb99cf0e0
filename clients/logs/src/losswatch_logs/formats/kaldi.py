"""Kaldi's nnet3 and chain models: a log-likelihood per frame, to be maximised."""

import re

from losswatch_logs.formats import Format

_NUMBER = r"(-?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf))"

FORMAT = Format(
    name="kaldi",
    sign=re.compile(r"[Aa]verage objective function|log-prob-per-frame"),
    rules=(
        (
            re.compile(r"Average objective function for 'output' for minibatches \d+-(\d+) is " + _NUMBER),
            r"minibatch \1 log-likelihood per frame: \2",
        ),
        (re.compile(r"verage objective function for '(?!output')[^']*'"), "another output"),
        (re.compile(r"Overall average objective function for 'output' is " + _NUMBER), r"overall"),
        (
            re.compile(r"iter(?:ation)?[ =]?(\d+).*log-prob-per-frame[=: ]+" + _NUMBER),
            r"iteration \1 log-likelihood: \2",
        ),
    ),
    note="this is a Kaldi log: it reports a log-likelihood per frame, which is to be maximised",
    framework="kaldi",
)
