"""The callbacks for Keras in other languages do what the frameworks call them for."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from languages.test_conformance import ROOT, node, r_with

R_HOOKS = """
source("clients/r/losswatch.R")
run <- losswatch_run("hooks", url = "http://127.0.0.1:9", flush_interval = Inf)
model <- new.env()
hooks <- losswatch_keras_hooks(run, model)
hooks$on_epoch_end(0L, list(loss = 0.5, val_loss = 0.6, accuracy = 0.9))
stopifnot(is.null(model$stop_training))
run$report <- list(action = "stop")
hooks$on_epoch_end(1L, list(loss = NaN))
stopifnot(isTRUE(model$stop_training))
cat(sprintf("[%s]", paste(unlist(run$waiting), collapse = ",")))
"""

JS_HOOKS = """
import { tfjs } from "./clients/javascript/losswatch.mjs";
const told = [];
const log = (step, values) => told.push({ step, ...values });
const run = { shouldStop: false, log, finish: async () => told.push("end") };
const model = { stopTraining: false };
const hooks = tfjs(run, model);
await hooks.onBatchEnd(0, { batch: 0, size: 32, loss: 9 });
await hooks.onEpochEnd(0, { loss: 0.5, val_loss: 0.6, acc: 0.9, mse: 2 });
if (model.stopTraining) throw new Error("stopped too early");
run.shouldStop = true;
const each = tfjs(run, model, { every: "batch" });
await each.onBatchEnd(0, { batch: 0, size: 32, loss: 7 });
await each.onEpochEnd(0, { loss: 8, val_loss: 6 });
await each.onTrainEnd();
if (!model.stopTraining) throw new Error("not stopped");
console.log(JSON.stringify(told));
"""


def output(command: list[str]) -> object:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_keras_in_r_makes_a_point_of_each_epoch_and_stops_when_told() -> None:
    rscript = r_with("jsonlite")
    if rscript is None:
        pytest.skip("R with jsonlite is not installed")
    assert output([rscript, "-e", R_HOOKS]) == [
        {"step": 0, "loss": 0.5, "validation_loss": 0.6, "metrics": {"accuracy": 0.9}},
        {"step": 1, "loss": "NaN"},
    ]


def test_tensorflow_js_makes_a_point_of_each_epoch_or_batch_and_stops_when_told() -> None:
    found = node()
    if found is None:
        pytest.skip("Node 18 is not installed")
    assert output([found, "--input-type=module", "--eval", JS_HOOKS]) == [
        {"step": 0, "loss": 0.5, "validation_loss": 0.6, "accuracy": 0.9, "mse": 2, "epoch": 0},
        {"step": 0, "loss": 7},
        {"step": 0, "validation_loss": 6, "epoch": 0},
        "end",
    ]


def test_the_module_is_plain_text_that_a_browser_can_import() -> None:
    text = (Path(ROOT) / "clients/javascript/losswatch.mjs").read_text(encoding="utf-8")
    assert "import " not in text.partition("*/")[2].replace("import(", "")
    assert "require(" not in text
