"""How fast points are taken, side by side in one run: the service, a bare echo, and one transaction per request.

``python -m benchmarks.ingest`` (with ``tests`` on the path), or ``make bench``. What is compared is the ratio to the
echo of the same run: wall figures of two machines, or of two moments of one machine, say little.
"""
