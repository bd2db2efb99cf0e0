"""The monitor's types as JSON and back: what the API, the events, the store and the command line write and read.

Pure. Answers are strict JSON (non-finite numbers are the strings "NaN", "Infinity", "-Infinity"); requests are read
by the contract's rules for numbers. May import ``losswatch_server.monitor`` and nothing else of ours.
"""

from losswatch_server.codec.bodies import Body, NotJsonError, read_body
from losswatch_server.codec.contexts import context_from_text, context_json, read_context
from losswatch_server.codec.encoding import dumps, number_json, rounded, timestamp
from losswatch_server.codec.findings import finding_from_json, finding_json
from losswatch_server.codec.points import point_json
from losswatch_server.codec.problems import BodyRefusedError, Problem
from losswatch_server.codec.reports import assessment_json, report_json, run_json

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
