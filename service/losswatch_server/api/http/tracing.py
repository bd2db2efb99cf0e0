"""OpenTelemetry traces: a span for each request, as part of the caller's trace. Needs ``losswatch-server[tracing]``.

Where spans go is said by OpenTelemetry's own variables, OTEL_EXPORTER_OTLP_ENDPOINT before all.
"""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from losswatch_server import __version__
from losswatch_server.api.http.request_id import request_id

INSTALL = 'pip install "losswatch-server[tracing]"'


class TracingMissingError(Exception):
    """The SDK of OpenTelemetry is not installed."""


def otlp_tracer() -> Any:
    """A tracer that sends its spans over OTLP. Raises TracingMissingError."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracingMissingError(f"tracing needs OpenTelemetry: {INSTALL}") from error
    resource = Resource.create({"service.name": "losswatch", "service.version": __version__})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer("losswatch_server")


class Tracing:
    """Wraps the application: each request becomes a span of ``tracer``."""

    def __init__(self, app: ASGIApp, tracer: Any) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._app = app
        self._tracer = tracer
        self._server = trace.SpanKind.SERVER
        self._failed = trace.StatusCode.ERROR
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        carrier = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in (b"traceparent", b"tracestate")
        }
        method = scope["method"]
        attributes = {"http.request.method": method, "url.path": scope["path"]}
        context = self._propagator.extract(carrier)
        with self._tracer.start_as_current_span(method, context, self._server, attributes) as span:

            async def send_on(message: Message) -> None:
                if message["type"] == "http.response.start":
                    status = message["status"]
                    span.set_attribute("http.response.status_code", status)
                    route = getattr(scope.get("route"), "path", None)
                    if route is not None:
                        span.set_attribute("http.route", route)
                        span.update_name(f"{method} {route}")
                    if (named := request_id.get()) is not None:
                        span.set_attribute("losswatch.request_id", named)
                    if status >= 500:
                        span.set_status(self._failed)
                await send(message)

            await self._app(scope, receive, send_on)
