"""How many odd runs are tried."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--odd-runs N``: how many odd runs are judged (make soak); ``--first-odd-run SEED``: the first one's seed."""
    parser.addoption("--odd-runs", type=int, default=None, help="how many odd runs are judged")
    parser.addoption("--first-odd-run", type=int, default=0, help="the seed of the first odd run")
