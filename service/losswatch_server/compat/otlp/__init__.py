"""OTLP metrics over HTTP (OpenTelemetry protocol 1.10), protobuf and JSON: ``POST /v1/metrics``."""

from losswatch_server.compat.otlp.answers import error_answer
from losswatch_server.compat.otlp.routes import router

__all__ = ["error_answer", "router"]
