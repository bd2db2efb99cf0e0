"""A training for ``test_plug.py``: logs its steps, waits for a line on standard input, and ends its run."""

from __future__ import annotations

import sys
import time

import losswatch

url, steps, pause_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
run = losswatch.Run("plugged", url=url, quiet=True, flush_interval=0.02)
for step in range(steps):
    run.log(step, loss=1.0 + 1.0 / (step + 1), grad_norm=1.0)
    if step % 10 == 0:
        time.sleep(10 * pause_s)
sys.stdout.write("trained\n")
sys.stdout.flush()
sys.stdin.readline()
run.finish(timeout=200)
sys.stdout.write(f"{run.dropped}\n")
