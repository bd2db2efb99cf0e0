"""An export request as numbers of runs. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from losswatch.metric_names import TABLE, folded
from losswatch.metric_names import field as field_of
from losswatch.names import slug
from losswatch_server.codec import NotJsonError
from losswatch_server.codec.bodies import parse_json
from losswatch_server.compat.series import Logged

RUN_ATTRIBUTES = ("losswatch.run", "run.name", "run_name", "run.id", "run_id", "service.name")
PROJECT_ATTRIBUTE = "losswatch.project"
"""Attributes of a resource that name its run, the first that is there, and its project."""
SPLITS = ("split", "phase", "stage", "dataset", "subset", "mode")
"""Attributes of a data point whose value goes before the metric's name: loss of split val is ``val/loss``."""
_STEPS = frozenset((*TABLE["step"], "losswatch_step"))
_ABOUT_THE_MACHINE = (
    "telemetry.", "service.", "process.", "host.", "os.", "container.", "k8s.", "cloud.", "deployment.", "losswatch.",
)  # fmt: skip
NOT_RECORDED = 1
"""The flag of a data point that says that there is no value."""


@dataclass(slots=True)
class Export:
    """What one resource brings for one run."""

    run: str
    project: str | None
    attributes: dict[str, Any]
    logged: list[Logged] = field(default_factory=list)


class Read(NamedTuple):
    """The exports of a request; how many data points can be taken by no run, and why the last of them cannot."""

    exports: list[Export]
    rejected: int
    why: str


def read_protobuf(raw: bytes) -> Read:
    """Raises NotProtobufError."""
    try:
        return _read(ExportMetricsServiceRequest.FromString(raw))
    except DecodeError as error:
        raise NotProtobufError("The body is not an ExportMetricsServiceRequest in protobuf.") from error


def read_json(raw: bytes) -> Read:
    """Raises NotJsonError, and NotProtobufError for JSON of another shape."""
    value = parse_json(raw)
    if not isinstance(value, dict):
        raise NotProtobufError("The body must be an ExportMetricsServiceRequest as a JSON object.")
    try:
        return _read(ParseDict(_quoted(value), ExportMetricsServiceRequest(), ignore_unknown_fields=True))
    except (ParseError, ValueError, TypeError, RecursionError) as error:
        raise NotProtobufError(f"The body is no ExportMetricsServiceRequest: {str(error)[:200]}") from error


class NotProtobufError(ValueError):
    """The body is not an export request; the text says why."""


def _quoted(value: Any) -> Any:
    """JSON as protobuf has it: non-finite numbers as text, and no half of a surrogate pair."""
    match value:
        case str():
            return _whole(value)
        case float() if not math.isfinite(value):
            return json.dumps(value)
        case dict():
            return {_whole(name): _quoted(item) for name, item in value.items()}
        case list():
            return [_quoted(item) for item in value]
    return value


def _whole(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _read(request: Any) -> Read:
    exports: list[Export] = []
    rejected, why = 0, ""
    for of_resource in request.resource_metrics:
        attributes = _attributes(of_resource.resource.attributes)
        run = next((str(attributes[name]) for name in RUN_ATTRIBUTES if _names_a_run(attributes.get(name))), "")
        project = attributes.get(PROJECT_ATTRIBUTE)
        about = {name: value for name, value in attributes.items() if _is_parameter(name)}
        export = Export(slug(run, "otlp"), None if project is None else slug(project, "default"), about)
        for of_scope in of_resource.scope_metrics:
            for metric in of_scope.metrics:
                points = _numbers(metric)
                if points is None:
                    rejected += _count(metric)
                    why = f"{metric.name[:80]} is no gauge and no sum: Losswatch takes single numbers."
                elif not run:
                    rejected += len(points)
                    why = "No resource attribute names the run: set losswatch.run or service.name."
                else:
                    export.logged += [_logged(metric.name, point) for point in points if not point.flags & NOT_RECORDED]
        if export.logged:
            export.logged = _with_step(export.logged)
            exports.append(export)
    return Read(exports, rejected, why)


def _with_step(logged: list[Logged]) -> list[Logged]:
    """In order of their steps; those that have none get that of the gauge that is called step, where there is one.

    A gauge is sent anew with every export, with the time of that export: with a step it is known again by that.
    """
    at = next((one.value for one in logged if one.step is None and field_of(one.name) == "step"), None)
    if at is not None and at.is_integer() and at >= 0:
        logged = [
            one if one.step is not None else one._replace(step=int(at))
            for one in logged
            if one.step is not None or field_of(one.name) != "step"
        ]
    timeless = [one if one.step is None else one._replace(at_ms=None) for one in logged]
    return sorted(timeless, key=lambda one: (-1 if one.step is None else one.step, one.at_ms or 0))


def _names_a_run(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and not value.startswith("unknown_service")


def _is_parameter(name: str) -> bool:
    return name not in RUN_ATTRIBUTES and not name.startswith(_ABOUT_THE_MACHINE)


def _numbers(metric: Any) -> Any:
    """The data points that are single numbers; None for histograms and summaries."""
    kind = metric.WhichOneof("data")
    return getattr(metric, kind).data_points if kind in ("gauge", "sum") else None


def _count(metric: Any) -> int:
    kind = metric.WhichOneof("data")
    return 0 if kind is None else len(getattr(metric, kind).data_points)


def _logged(name: str, point: Any) -> Logged:
    step: int | None = None
    before, after = "", []
    for key, value in sorted(_attributes(point.attributes).items()):
        if folded(key) in _STEPS and step is None and _is_whole(value):
            step = int(value)
        elif key.lower() in SPLITS and isinstance(value, str) and not before:
            before = f"{value}/"
        elif not (folded(key) == "rank" and value in (0, "0")):
            after.append(f"{key}={value}")
    of = f"{{{','.join(after)}}}" if after else ""
    value = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
    at_ms = point.time_unix_nano // 1_000_000 or None
    return Logged(f"{before}{name}{of}" or "unnamed", float(value), step, at_ms)


def _is_whole(value: Any) -> bool:
    return not isinstance(value, bool) and (
        isinstance(value, int)
        or (isinstance(value, float) and value.is_integer())
        or (isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 17)
    )


def _attributes(found: Iterable[Any]) -> Mapping[str, Any]:
    """Attributes with a plain value."""
    plain: dict[str, Any] = {}
    for one in found:
        kind = one.value.WhichOneof("value")
        if kind in ("string_value", "bool_value", "int_value", "double_value"):
            plain[one.key] = getattr(one.value, kind)
    return plain


__all__ = ["Export", "NotJsonError", "NotProtobufError", "Read", "read_json", "read_protobuf"]
