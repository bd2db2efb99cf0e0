"""What may make a group of notifications. It stands alone, so that the command line need not load the rules for it."""

from __future__ import annotations

from enum import StrEnum


class GroupBy(StrEnum):
    """The runs of a sweep, related conditions (an incident class), or one run."""

    GROUP = "group"
    CONDITION = "condition"
    RUN = "run"
