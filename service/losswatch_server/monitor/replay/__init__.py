"""Each finding explained: its rule folded once more with its tests written down. Pure."""

from losswatch_server.monitor.replay.probe import Explanation, Probe, explain, explained
from losswatch_server.monitor.replay.thinning import MOST_ROWS, Row

__all__ = ["MOST_ROWS", "Explanation", "Probe", "Row", "explain", "explained"]
