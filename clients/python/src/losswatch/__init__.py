"""The thin client of Losswatch."""

__version__ = "0.1.0"
