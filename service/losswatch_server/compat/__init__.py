"""What people already have: the routes that the clients of other tools speak, each with its own words and errors.

MLflow's REST interface, OTLP metrics over HTTP, and Keras' ``RemoteMonitor``. All of them name (``losswatch``'s table
of metric names), number (``series``) and record (``recording``) in one way: what arrives is what a points request would
have brought.
"""

from losswatch_server.compat import keras_remote_monitor, mlflow, otlp
from losswatch_server.compat.recording import Recording

ROUTERS = (*mlflow.ROUTERS, keras_remote_monitor.router, otlp.router)
DIALECTS = {"/api/": mlflow.error_answer, "/v1/metrics": otlp.error_answer}

__all__ = ["DIALECTS", "ROUTERS", "Recording"]
