"""Schemas of how a training log was read."""

from __future__ import annotations

from typing import Literal

from losswatch_server.api.description.types import Answer, Context, Number


class SkippedLine(Answer):
    """A line that was not understood."""

    line: int
    """Its number, from 1."""
    text: str
    """How it begins."""
    reason: str
    """Why it was skipped."""


class ReadColumn(Answer):
    """A column of numbers in the text."""

    name: str
    """As the text spells it."""
    values: int
    """How many values it has."""
    first: Number | None
    """The first of them; null for an explicit null."""
    last: Number | None
    """The last of them."""
    read_as: Literal["loss", "validation", "gradient_norm", "learning_rate", "epoch", "step", "metric"] | None
    """What it was read as; `metric`: kept but not judged; null: not read. `?…_column=` chooses another."""


class Reading(Answer):
    """How the text was understood."""

    format: str
    """The form that the text was taken for: `csv`, `jsonl`, `console`, …"""
    points: int
    """How many points were read."""
    total_lines: int
    """How many lines the text has."""
    read_as: list[str]
    """Which columns or lines were read as what, in sentences."""
    columns: list[ReadColumn]
    """All columns of numbers, up to 200, those that were read first."""
    doubts: list[str]
    """Where that may be wrong, and what would settle it."""
    skipped: list[SkippedLine]
    """Up to 100 of the lines that were not understood."""
    skipped_lines: int
    """How many there were in all."""
    context: Context
    """What the log itself says of the job."""
