"""VITS and so-vits: a list of losses without names, known by their order, then the step and the learning rate."""

import re

from losswatch_logs.formats import Format

_NUMBER = r"\s*([-+]?(?:[\d.]+(?:e[-+]?\d+)?|nan|inf))\s*"
_NAMED = r"loss_disc: \1, loss_gen: \2, loss_fm: \3, loss_mel: \4, "

FORMAT = Format(
    name="vits",
    sign=re.compile(r"^.{0,60}Train Epoch: \d+ \[\d+(?:\.\d+)?%\]\s*$(?=\n.{0,60}\[[-\d.einfa, ]+\])", re.MULTILINE),
    rules=(
        (
            re.compile(r"^[^\[]*\[" + ",".join([_NUMBER] * 8) + r"\]\s*$"),
            _NAMED + r"loss_dur: \5, loss_kl: \6, step: \7, lr: \8",
        ),
        (
            re.compile(r"Losses: \[" + ",".join([_NUMBER] * 5) + r"\], step: (\d+), lr:" + _NUMBER + "(.*)"),
            _NAMED + r"loss_kl: \5, step: \6, lr: \7\8",
        ),
        (
            re.compile(r"Losses: \[" + ",".join([_NUMBER] * 6) + r"\], step: (\d+), lr:" + _NUMBER + "(.*)"),
            _NAMED + r"loss_kl: \5, loss_lf0: \6, step: \7, lr: \8\9",
        ),
    ),
    note="these lines do not name their losses: they were named by their order, as VITS writes it",
)
