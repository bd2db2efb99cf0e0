"""The pictures of the documentation, drawn from real runs: ``python -m benchmarks.pictures``, or ``make docs``."""
