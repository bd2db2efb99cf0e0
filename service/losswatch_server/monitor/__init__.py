"""What numbers mean: a pure, deterministic fold over the record of a run.

Nothing here does I/O, reads a clock, an environment or settings; numpy and scipy are the only imports.
"""
