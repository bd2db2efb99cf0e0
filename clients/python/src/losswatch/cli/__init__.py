"""The command line: ``losswatch watch``, ``import``, ``run`` and ``sync``, for trainings without a line of code.

What reads logs is ``losswatch-logs`` (``pip install "losswatch[watch]"``); ``sync`` needs nothing but the client.
"""

from losswatch.cli.main import main

__all__ = ["main"]
