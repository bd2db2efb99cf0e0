"""What the use cases refuse, and why."""

from __future__ import annotations


class RunNotFoundError(LookupError):
    """There is no run of this name in this project."""


class RunGoneError(LookupError):
    """The run was deleted, and this writer posted to it: what it still sends must not create a ghost of it."""


class FindingNotFoundError(LookupError):
    """The run has no finding of this id."""
