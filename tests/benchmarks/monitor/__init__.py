"""What judging costs: the monitor alone, point by point, beside one call of a test that detectors are often made of.

``python -m benchmarks.monitor`` (with ``tests`` on the path), or ``make bench``.
"""
