"""``G: 1.37 | D: 1.80``, ``>5, d1[0.5] d2[0.6] g[2.3]``, ``>5, 3/40, d=0.5, g=2.3``: GANs whose losses are letters."""

import re

from losswatch_logs.formats import Format

_NUMBER = r"([-+]?(?:[\d.]+(?:e[-+]?\d+)?|nan|inf))"
_BETWEEN = r"[ |,;/]{1,5}"
_G_FIRST = rf"\bG: {_NUMBER}{_BETWEEN}D: {_NUMBER}"
_D_FIRST = rf"\bD: {_NUMBER}{_BETWEEN}G: {_NUMBER}"
_STEP = r"^\s*>?(\d+), "
_BRACKETS = rf"d1\[{_NUMBER}\] d2\[{_NUMBER}\] g\[{_NUMBER}\]"
_EQUALS = rf"(?:(\d+)/(\d+), )?d\w?={_NUMBER}(?:, d\w=\S+)?,? g={_NUMBER}"

FORMAT = Format(
    name="gan-letters",
    sign=re.compile(f"{_G_FIRST}|{_D_FIRST}|{_STEP}(?:{_BRACKETS}|{_EQUALS})", re.MULTILINE),
    rules=(
        (re.compile(rf"^(.*?){_G_FIRST}(.*)"), r"\1 loss_D: \3, loss_G: \2\4"),
        (re.compile(rf"^(.*?){_D_FIRST}(.*)"), r"\1 loss_D: \2, loss_G: \3\4"),
        (re.compile(_STEP + _BRACKETS), r"step \1 loss_D_1: \2, loss_D_2: \3, loss_G: \4"),
        (re.compile(rf"{_STEP}(\d+)/(\d+), d\w?={_NUMBER}.*\bg={_NUMBER}"), r"epoch \1 [\2/\3] loss_D: \4, loss_G: \5"),
        (re.compile(rf"{_STEP}d\w?={_NUMBER}.*\bg={_NUMBER}"), r"step \1 loss_D: \2, loss_G: \3"),
    ),
    note="D and G were read as the losses of a discriminator and a generator",
)
