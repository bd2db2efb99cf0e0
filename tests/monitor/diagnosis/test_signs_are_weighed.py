"""The table of weights and the signs in the code name the same things."""

from __future__ import annotations

import inspect
import re

from losswatch_server.monitor.diagnosis.evidence import from_context, from_gradient, from_loss
from losswatch_server.monitor.diagnosis.weights import GROUPS


def test_every_sign_has_weights_and_every_weight_a_sign() -> None:
    sources = "".join(inspect.getsource(module) for module in (from_context, from_gradient, from_loss))
    named = set(re.findall(r'"([a-z_]+)"', sources))
    weighed = {name for group in GROUPS.values() for name in group}
    assert weighed <= named
    made = set(re.findall(r'Sign\(\s*"([a-z_]+)"', sources))
    assert made <= weighed


def test_no_sign_stands_in_two_groups() -> None:
    names = [name for group in GROUPS.values() for name in group]
    assert len(names) == len(set(names))
