"""How well the monitor detects: a bug zoo of trained models, a scorer, and the table that the documentation quotes."""

import os

# Before NumPy is imported: the matrices are tiny, and a thread pool a process makes everything slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
