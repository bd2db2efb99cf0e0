"""MLflow's REST interface, as far as a training speaks it (recorded from mlflow-skinny 3.17).

An experiment is the ``group`` of its runs; "Default" is none. A run's id is its name. Parameters and tags are its
context. Artifacts, models and traces are not kept: the client is told to write artifacts where it runs.
"""

from losswatch_server.compat.mlflow import experiments, models, runs
from losswatch_server.compat.mlflow.errors import error_answer

ROUTERS = (experiments.router, runs.router, runs.pages, models.router)

__all__ = ["ROUTERS", "error_answer"]
