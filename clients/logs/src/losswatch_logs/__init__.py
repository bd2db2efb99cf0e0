"""Training logs as they stand -> points: console output of any framework, CSV, JSON, notebooks, lists of numbers.

Pure and of the standard library alone: text in, points out, no I/O.

>>> from losswatch_logs import read
>>> log = read("step 1 loss 0.7\\nstep 2 loss 0.5\\n")
>>> [point.loss for point in log.points]
[0.7, 0.5]
"""

from losswatch_logs.growing import Growing, Growth
from losswatch_logs.reading import read, read_all
from losswatch_logs.result import NO_COLUMNS, Columns, Doubt, LogPoint, ReadLog, Skipped, UnreadableLogError

__all__ = [
    "NO_COLUMNS",
    "Columns",
    "Doubt",
    "Growing",
    "Growth",
    "LogPoint",
    "ReadLog",
    "Skipped",
    "UnreadableLogError",
    "__version__",
    "read",
    "read_all",
]
__version__ = "0.1.0"
