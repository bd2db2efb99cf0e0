"""Each finding explained: the statistic over time, its threshold, the points it used. Pure."""

from losswatch_server.monitor.explain.probe import Explanation, Probe, explain, explained
from losswatch_server.monitor.explain.thinning import MOST_ROWS, Row

__all__ = ["MOST_ROWS", "Explanation", "Probe", "Row", "explain", "explained"]
