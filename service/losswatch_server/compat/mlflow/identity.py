"""Ids that need no table: an experiment's says its name, a run's is its name, a model's is made up. Pure."""

from __future__ import annotations

import base64
import re
import secrets

from losswatch.names import slug

DEFAULT_ID, DEFAULT_NAME = "0", "Default"
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
"""What MLflow's client takes as the id of a run, as long as a run's name may be."""
MODEL_ID = re.compile(r"m-[0-9a-f]{32}")
_PREFIX = "e"


def experiment_id(name: str) -> str:
    """The id of the experiment of this name."""
    if name == DEFAULT_NAME:
        return DEFAULT_ID
    return _PREFIX + base64.urlsafe_b64encode(name.encode("utf-8", "replace")).decode().rstrip("=")


def experiment_name(id_: str) -> str | None:
    """The name of the experiment of this id; None where there can be none."""
    if id_ in ("", DEFAULT_ID):
        return DEFAULT_NAME
    text = id_.removeprefix(_PREFIX)
    if text == id_:
        return None
    try:
        name = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        return None
    return name if name and experiment_id(name) == id_ else None


def run_id(wanted: str, number: int) -> str:
    """An id for a run that its client calls ``wanted``; ``number`` counts the ids that are taken already."""
    if number:
        return f"{run_id(wanted, 0)[:110]}-{secrets.token_hex(4) if number > 9 else number + 1}"
    return slug(wanted.replace(".", "-"), "mlflow").replace(".", "-").lstrip("_-")


def model_id() -> str:
    """An id for a model."""
    return f"m-{secrets.token_hex(16)}"
