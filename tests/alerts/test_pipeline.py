"""The way of a notification can be read in one place, and what is read there is what runs."""

from __future__ import annotations

import inspect
import re

from losswatch_server.alerts import deliverer, dispatcher, pipeline


def test_the_docstring_numbers_the_stages_in_the_order_in_which_they_run() -> None:
    numbered = re.findall(r"^(\d)\. ``(\w+)``", pipeline.__doc__ or "", re.MULTILINE)
    assert numbered == [(str(n), stage.__name__) for n, stage in enumerate(pipeline.PIPELINE, 1)]


def test_each_stage_is_a_module_that_says_its_number_and_name() -> None:
    for number, stage in enumerate(pipeline.PIPELINE, 1):
        module = inspect.getmodule(stage)
        assert module is not None
        assert (module.__doc__ or "").startswith(f"Stage {number}, {stage.__name__}:")


def test_dispatcher_and_deliverer_run_these_stages_and_no_others() -> None:
    assert dispatcher.PLANNING is pipeline.PLANNING
    assert all(getattr(deliverer, stage.__name__) is stage for stage in pipeline.DELIVERING)
