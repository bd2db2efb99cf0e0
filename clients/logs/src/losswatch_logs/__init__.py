"""Training logs as they stand -> points: console output, CSV, JSON lines and columns, trainer state files.

Pure and of the standard library alone: text in, points out, no I/O.

>>> from losswatch_logs import read
>>> log = read("step 1 loss 0.7\\nstep 2 loss 0.5\\n")
>>> [point.loss for point in log.points]
[0.7, 0.5]
"""

from losswatch_logs.reader import read
from losswatch_logs.result import LogPoint, ReadLog, Skipped, UnreadableLogError

__all__ = ["LogPoint", "ReadLog", "Skipped", "UnreadableLogError", "__version__", "read"]
__version__ = "0.1.0"
