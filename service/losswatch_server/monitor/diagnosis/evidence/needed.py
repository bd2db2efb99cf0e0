"""The needs of a row of evidence by short names, for the tables."""

from losswatch_server.monitor.known import Need, Noise

BEGINNING = Need.START
BUDGET = Need.BUDGET
CHANCE = Need.CHANCE
KIND = Need.KIND
VALIDATED = Need.VALIDATION
ANSWERS = Need.QUALITY
NORMS = Need.GRADIENTS
UNCLIPPED = Need.UNCLIPPED
LAYERED = Need.LAYERS
RATE = Need.RATE
SETTING = Need.SETTING
FACTS = Need.FACT

__all__ = [
    "ANSWERS",
    "BEGINNING",
    "BUDGET",
    "CHANCE",
    "FACTS",
    "KIND",
    "LAYERED",
    "NORMS",
    "RATE",
    "SETTING",
    "UNCLIPPED",
    "VALIDATED",
    "Noise",
]
