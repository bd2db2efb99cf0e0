"""Whether a series repeats: lag-1 correlation, the strongest period, an exact one.

Works on the recent raw values, after slow movement was taken out. A period is a peak of the autocorrelation; on 400
points of white noise the strongest peak stayed below 0.42 in 20 of 20 streams.
"""

from __future__ import annotations

import numpy as np

MATERIAL = 0.01
"""Waves below 1 % of the level are no pattern of the data: full-batch training has such of rounding alone."""


def lag1(values: list[float]) -> float | None:
    n = len(values)
    if n < 12:
        return None
    y = np.asarray(values)
    y = y / (np.abs(y).max() or 1.0)
    x = np.arange(n) - (n - 1) / 2
    residual = y - y.mean() - x * float(x @ y) / float(x @ x)
    energy = float(residual @ residual)
    return float(residual[1:] @ residual[:-1]) / energy if energy > 0 else None


def strongest_period(values: list[float]) -> tuple[int | None, float]:
    """The lag (5 to a third of the values) of the strongest autocorrelation peak, after removing slow movement."""
    n = len(values)
    if n < 40:
        return None, 0.0
    y = np.asarray(values)
    low = float(y.min())
    y = np.log(y) if low > 0 else y / (np.abs(y).max() or 1.0)
    x = np.linspace(-1, 1, n)
    y = y - np.polynomial.polynomial.polyval(x, np.polynomial.polynomial.polyfit(x, y, 3))
    spread = 5 * float(np.median(np.abs(y)))
    y = np.clip(y, -spread, spread)
    energy = float(y @ y)
    if energy <= n * MATERIAL**2:
        return None, 0.0
    spectrum = np.fft.rfft(y, 2 * n)
    correlation = np.fft.irfft(spectrum * np.conj(spectrum))[: n // 3 + 1] / energy
    correlation = correlation * n / (n - np.arange(len(correlation)))
    inner = correlation[5:-1]
    peaks = (inner > correlation[4:-2]) & (inner >= correlation[6:])
    if not peaks.any():
        return None, 0.0
    best = int(np.where(peaks, inner, -1.0).argmax())
    lag = best + 5
    # a slow wave has a high correlation at every short lag; a repeating pattern dips in between
    if float(correlation[1 : lag + 1].min()) > 0.3 * float(inner[best]):
        return None, 0.0
    # the estimate of a correlation over few overlapping values may come out above 1
    return lag, min(float(inner[best]), 1.0)


def exact_period(values: list[float]) -> int | None:
    """The smallest lag (at most half of the values) at which they repeat exactly; None for a constant."""
    n = len(values)
    last = values[-1]
    if n < 8 or min(values) == max(values):
        return None
    for lag in range(2, n // 2 + 1):
        if values[-1 - lag] == last and values[lag:] == values[:-lag]:
            return lag
    return None
