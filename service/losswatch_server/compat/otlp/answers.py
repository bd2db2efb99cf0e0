"""Answers as OTLP has them: a response message where all or a part was taken, a status message for an error."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Scope

from losswatch_server import codec
from losswatch_server.api.http.problems import ProblemError

PROTOBUF, JSON = "application/x-protobuf", "application/json"


def taken(media_type: str, rejected: int, why: str) -> Response:
    """All data points were taken but ``rejected``, and ``why`` those were not."""
    if media_type == JSON:
        partial = {"partialSuccess": {"rejectedDataPoints": str(rejected), "errorMessage": why}} if rejected else {}
        return Response(codec.dumps(partial), media_type=JSON)
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

    message = ExportMetricsServiceResponse()
    if rejected:
        message.partial_success.rejected_data_points = rejected
        message.partial_success.error_message = why
    return Response(message.SerializeToString(), media_type=PROTOBUF)


def error_answer(problem: ProblemError, scope: Scope) -> Response:
    """The answer that tells an exporter of ``problem``: google.rpc.Status, of which ``message`` is field 2."""
    kind = problem.kind
    headers = dict(problem.headers)
    if kind.retry_after_s is not None:
        headers["Retry-After"] = str(kind.retry_after_s)
    if _media_type(scope) == JSON:
        return Response(codec.dumps({"message": problem.detail}), kind.status, headers, JSON)
    text = problem.detail.encode("utf-8", "replace")
    return Response(b"\x12" + _varint(len(text)) + text, kind.status, headers, PROTOBUF)


def _media_type(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"content-type" and b"json" in value.lower():
            return JSON
    return PROTOBUF


def _varint(number: int) -> bytes:
    """A whole number as protobuf writes it."""
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*written, number))
