"""Start Python as on another processor: ``python tests/other_processor.py -m pytest tests/monitor``.

Three libraries choose their arithmetic by the processor that they find, and each has a switch. OpenBLAS gets plain
kernels and one thread; NumPy none of the vector instructions that it found; the C library ``exp``, ``log`` and ``pow``
without fused multiply-add. Each changes the last bit of some results; a test that notices tests the machine.
"""

from __future__ import annotations

import os
import platform
import sys

import numpy as np

PLAIN_KERNELS = {"x86_64": "Nehalem", "AMD64": "Nehalem", "aarch64": "ARMV8", "arm64": "ARMV8"}


def environment() -> dict[str, str]:
    """The variables that make the difference, by name."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return {
        "OPENBLAS_CORETYPE": PLAIN_KERNELS.get(platform.machine(), "GENERIC"),
        "OPENBLAS_NUM_THREADS": "1",
        "NPY_DISABLE_CPU_FEATURES": " ".join(found),
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4",
    }


if __name__ == "__main__":
    os.execve(sys.executable, [sys.executable, *sys.argv[1:]], {**os.environ, **environment()})
