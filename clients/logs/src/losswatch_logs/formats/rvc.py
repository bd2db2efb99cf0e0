"""RVC and so-vits: ``[200, 0.0001]`` is step and learning rate; the losses follow on the next line."""

import re

from losswatch_logs.formats import Format

FORMAT = Format(
    name="rvc",
    sign=re.compile(r"loss_disc=[\d.]+, loss_gen="),
    rules=((re.compile(r"\[(\d+), ([\d.e-]+)\]\s*$"), r"global step \1"),),
)
