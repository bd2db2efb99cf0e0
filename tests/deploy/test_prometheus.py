"""The alerting rules name metrics that the service really has."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from docs.service import running_service

RULES = Path(__file__).parents[2] / "deploy" / "prometheus-rules.yaml"
NOT_METRICS = {"sum", "rate", "increase", "by", "le", "and", "offset", "histogram_quantile", "h", "m"}


def alerts():
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return group["rules"]


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    """What /metrics shows after a point was posted and another refused."""
    with running_service(tmp_path_factory.mktemp("metrics") / "data") as address:
        for body in (b'{"step": 1, "loss": 0.5}', b'{"step": 2, "los": 0.5}'):
            request = urllib.request.Request(f"{address}/v1/runs/measured/points", data=body, method="POST")
            with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=30) as answer:
                answer.read()
        with urllib.request.urlopen(f"{address}/metrics", timeout=30) as answer:
            yield answer.read().decode()


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_names_metrics_and_labels_of_the_service(alert, metrics):
    expression = re.sub(r"\[[^]]*\]", "", alert["expr"])
    for name in set(re.findall(r"[a-z_]{4,}", re.sub(r"\{.*?\"\}|\".*?\"", "", expression))) - NOT_METRICS:
        assert name == "up" or re.search(rf"^{name}[ {{]", metrics, re.MULTILINE), name
    for route in re.findall(r'route="([^"]+)"', expression):
        assert f'route="{route}"' in metrics
    for outcome in re.findall(r'outcome="([^"]+)"', expression):
        assert f'outcome="{outcome}"' in metrics


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_waits_and_says_what_it_means(alert):
    assert re.fullmatch(r"\d+m", alert["for"])
    assert alert["labels"]["severity"] in ("warning", "critical")
    assert alert["annotations"]["summary"].endswith(".")


def test_the_rules_are_strict_yaml():
    program = Path(sys.executable).parent / "yamllint"
    run = subprocess.run([program, "--strict", RULES], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stdout


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: apt-get install prometheus)"
)
def test_prometheus_itself_takes_the_rules():
    run = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
