"""What the environment says of this process as part of a job: whether it is watched, its name and its rank."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

_RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID")
_JOBS = ("SLURM_JOB_ID", "TORCHELASTIC_RUN_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID", "OMPI_MCA_ess_base_jobid")
"""What all processes of one job have in common. torchrun says ``none`` unless it is given an id."""


def is_disabled() -> bool:
    """Whether LOSSWATCH_DISABLED asks for a training that is not watched."""
    return os.environ.get("LOSSWATCH_DISABLED", "").strip().lower() in ("1", "true", "yes", "on")


def own_rank() -> int:
    """The rank of this process: what its launcher says, else torch.distributed or JAX where they run already; else 0.

    Neither is imported for it. JAX is asked only after ``jax.distributed.initialize``, as asking starts its devices.
    """
    for variable in _RANKS:
        value = os.environ.get(variable, "")
        if value.isdigit():
            return int(value)
    try:
        distributed = getattr(sys.modules.get("torch"), "distributed", None)
        if distributed is not None and distributed.is_available() and distributed.is_initialized():
            return int(distributed.get_rank())
        jax = sys.modules.get("jax")
        if jax is not None and jax.distributed.is_initialized():
            return int(jax.process_index())
    except Exception:  # noqa: BLE001 - a foreign module may throw anything, or be half imported
        return 0
    return 0


def run_name() -> str:
    """The name of a run that was given none: LOSSWATCH_RUN, else made of the script and what is this job's own.

    All ranks of a job must agree. Where the launcher says no name of the job they have their parent process in common,
    on one machine.
    """
    given = os.environ.get("LOSSWATCH_RUN")
    if given:
        return given
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    script = Path(file) if file else Path("notebook" if "ipykernel" in sys.modules else "run")
    stem = (script.parent.name if script.stem == "__main__" else script.stem) or "run"
    for variable in _JOBS:
        job = os.environ.get(variable, "")
        if job and job != "none":
            return f"{stem}-{job}"
    if any(os.environ.get(variable, "").isdigit() for variable in _RANKS):
        return f"{stem}-{os.environ.get('MASTER_PORT', 'job')}-{os.getppid()}"
    return f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
