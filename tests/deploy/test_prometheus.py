"""The alerting rules name metrics that the service really has."""

from __future__ import annotations

import contextlib
import json
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


@pytest.mark.slow
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
    for words in (["check", "rules", RULES], ["test", "rules", RULES.with_name("prometheus-rules-test.yaml")]):
        run = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == 0, run.stdout + run.stderr


def test_the_tests_of_the_rules_are_about_rules_that_there_are():
    tests = yaml.safe_load(RULES.with_name("prometheus-rules-test.yaml").read_text())["tests"]
    named = {one["alertname"] for test in tests for one in test["alert_rule_test"]}
    assert named <= {alert["alert"] for alert in alerts()}
    assert len(named) >= 4


DASHBOARD = json.loads((RULES.parent / "team" / "grafana" / "losswatch.json").read_text())


@pytest.mark.parametrize("panel", DASHBOARD["panels"], ids=lambda panel: panel["title"])
def test_a_panel_of_the_dashboard_names_metrics_of_the_service(panel, metrics):
    for target in panel["targets"]:
        expression = re.sub(r"\[[^]]*\]", "", target["expr"])
        names = set(re.findall(r"[a-z_]{4,}", re.sub(r"\{.*?\"\}|\".*?\"|\((?:\w+, )*\w+\) \(", "(", expression)))
        for name in {name for name in names if name.startswith(("losswatch_", "process_"))}:
            assert re.search(rf"^(# TYPE )?{name}[ {{]", metrics, re.MULTILINE), name
