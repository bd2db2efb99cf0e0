"""What the pages quote of the advice: ``{{action:scale_inputs}}`` is the action's name and its one sentence."""

from __future__ import annotations

import re

from losswatch_server.monitor.advice import ACTIONS

_PLACEHOLDER = re.compile(r"\{\{action:([a-z_]+)\}\}")


def resolve(text: str) -> str:
    """``text`` with every action explained; one that the advice does not know keeps its bare name."""
    return _PLACEHOLDER.sub(lambda found: f"`{found[1]}`" + explained(found[1]), text)


def explained(action: str) -> str:
    """A colon and the action's sentence, or nothing."""
    return f": {ACTIONS[action]}" if action in ACTIONS else ""
