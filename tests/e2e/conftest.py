"""How long the destructive tests go on."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--kill-rounds N``, ``--plug-pulls N``: how often these tests kill the service (make soak)."""
    parser.addoption("--kill-rounds", type=int, default=None, help="rounds of the kill -9 test")
    parser.addoption("--plug-pulls", type=int, default=None, help="how often a training loses its service")
    parser.addoption("--flat-minutes", type=float, default=None, help="how long a service must stay as large as it was")
