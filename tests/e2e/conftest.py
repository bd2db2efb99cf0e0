"""How long the destructive tests go on."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--kill-rounds N``: how often the kill test kills (make soak)."""
    parser.addoption("--kill-rounds", type=int, default=None, help="rounds of the kill -9 test")
