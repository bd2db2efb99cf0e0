"""Losswatch: watches training curves and says what is wrong, why, and what to do."""

__version__ = "0.1.0"
