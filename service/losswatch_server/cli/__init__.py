"""The command line: ``losswatch-server``."""

from losswatch_server.cli.commands import main

__all__ = ["main"]
