"""The monitor's types as JSON and back: what the API, the events, the store and the command line write and read.

Pure. Answers are strict JSON (non-finite numbers are the strings "NaN", "Infinity", "-Infinity"); requests are read
by the contract's rules for numbers. May import ``losswatch_server.monitor`` and nothing else of ours.
"""

from losswatch_server.wire.bodies import Body, NotJsonError, read_body
from losswatch_server.wire.contexts import context_from_text, context_json, read_context
from losswatch_server.wire.encoding import dumps, number_json, rounded, timestamp
from losswatch_server.wire.findings import finding_from_json, finding_json
from losswatch_server.wire.points import point_json
from losswatch_server.wire.problems import BodyRefusedError, Problem
from losswatch_server.wire.reports import assessment_json, report_json, run_json

__all__ = [
    "Body",
    "BodyRefusedError",
    "NotJsonError",
    "Problem",
    "assessment_json",
    "context_from_text",
    "context_json",
    "dumps",
    "finding_from_json",
    "finding_json",
    "number_json",
    "point_json",
    "read_body",
    "read_context",
    "report_json",
    "rounded",
    "run_json",
    "timestamp",
]
