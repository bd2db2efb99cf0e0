"""The monitor's types as JSON and back: what the API, the events, the store and the command line write and read.

One module a type. Its wire form is strict JSON with rounded evidence (non-finite numbers are the strings "NaN",
"Infinity", "-Infinity"); its exact form, for the store, gives the same value back to the last bit. Requests are read
by the contract's rules for numbers. Pure, but that ``damage`` keeps count of stored cells that cannot be read; imports
``losswatch_server.monitor`` and nothing else of ours.
"""

from losswatch_server.codec.assessments import assessment_json
from losswatch_server.codec.bodies import Body, NotJsonError, read_body
from losswatch_server.codec.contexts import context_from_text, context_json, read_context
from losswatch_server.codec.encoding import dumps, number_json, rounded, timestamp
from losswatch_server.codec.findings import finding_from_text, finding_json, finding_text
from losswatch_server.codec.points import point_json
from losswatch_server.codec.problems import BodyRefusedError, Problem
from losswatch_server.codec.reports import report_json, run_json

__all__ = [
    "Body",
    "BodyRefusedError",
    "NotJsonError",
    "Problem",
    "assessment_json",
    "context_from_text",
    "context_json",
    "dumps",
    "finding_from_text",
    "finding_json",
    "finding_text",
    "number_json",
    "point_json",
    "read_body",
    "read_context",
    "report_json",
    "rounded",
    "run_json",
    "timestamp",
]
