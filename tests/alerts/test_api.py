"""Targets, deliveries and silences over HTTP, with a real service and a real receiver."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from alerts.test_channels import Receiver, receiving
from losswatch_server.app import create_app, mail_server
from losswatch_server.settings import Settings, SettingsError

NAMES = itertools.count()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), allow_private_targets=True)
    with TestClient(create_app(settings), "http://localhost") as client:
        yield client


@pytest.fixture(scope="module")
def public_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(data_dir=tmp_path_factory.mktemp("public"))), "http://localhost") as client:
        yield client


@pytest.fixture
def project() -> str:
    return f"project-{next(NAMES)}"


def make(api: TestClient, project: str, kind: str, url: str, **more: Any) -> dict[str, Any]:
    answer = api.post(f"/v1/targets?project={project}", json={"kind": kind, "url": url, **more})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def diverge(api: TestClient, project: str, run: str, group: str | None = None) -> None:
    points = [{"step": step, "loss": 2.0 * 3.55**step} for step in range(1, 21)]
    body = {"points": points, "context": {"learning_rate": 0.01, **({"group": group} if group else {})}}
    assert api.post(f"/v1/runs/{run}/points?project={project}", json=body).json()["status"] == "critical"


def waits_for(receiver: Receiver, count: int) -> None:
    deadline = time.monotonic() + 20
    while len(receiver.taken) < count:
        assert not receiver.wrong, receiver.wrong
        assert time.monotonic() < deadline, f"{len(receiver.taken)} of {count} messages came"
        time.sleep(0.01)


@pytest.mark.slow
def test_a_diverging_run_reaches_slack(api: TestClient, project: str) -> None:
    with receiving("slack") as slack:
        made = make(api, project, "slack", slack.url)
        diverge(api, project, "keras-demo")
        waits_for(slack, 1)  # how soon is measured by make bench-notifications
        text = slack.taken[0][1].decode()
        assert "keras-demo: diverging" in text
        assert "Lower the learning rate from 0.01" in text
        log = f"/v1/targets/{made['id']}/deliveries?project={project}"
        deadline = time.monotonic() + 20
        while (delivery := api.get(log).json()["deliveries"][0])["state"] != "delivered":
            assert time.monotonic() < deadline
        assert (delivery["reason"], delivery["tries"], delivery["status"]) == ("first", 1, 200)
        assert delivery["attempts"][0]["duration_ms"] > 0
        assert 'losswatch_notification_tries_total{kind="slack",result="delivered"}' in api.get("/metrics").text


def test_the_signing_secret_is_shown_once_and_addresses_never_whole(api: TestClient, project: str) -> None:
    made = make(api, project, "webhook", "http://127.0.0.1:9/hooks/T0/SECRETPART")
    assert made["secret"].startswith("whsec_")
    for answer in (api.get(f"/v1/targets?project={project}"), api.get(f"/v1/targets/{made['id']}?project={project}")):
        assert "secret" not in answer.json()
        assert "SECRET" not in answer.text
        assert "whsec_" not in answer.text
    rotated = api.post(f"/v1/targets/{made['id']}/rotate?project={project}").json()
    assert rotated["secret"] not in (None, made["secret"])


@pytest.mark.slow
def test_a_test_message_says_what_came_back(api: TestClient, project: str) -> None:
    with receiving("discord") as discord:
        made = make(api, project, "discord", discord.url)
        tried = api.post(f"/v1/targets/{made['id']}/test?project={project}").json()
        assert (tried["delivered"], tried["status"], tried["detail"]) == (True, 204, "")
        assert len(discord.taken) == 1
    tried = api.post(f"/v1/targets/{made['id']}/test?project={project}").json()
    assert tried["delivered"] is False
    assert "no connection" in tried["detail"]
    for _ in range(8):
        api.post(f"/v1/targets/{made['id']}/test?project={project}")
    refused = api.post(f"/v1/targets/{made['id']}/test?project={project}")
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0


@pytest.mark.slow
def test_a_lost_message_is_sent_again_under_its_id(api: TestClient, project: str) -> None:
    with receiving("webhook") as hook:
        made = make(api, project, "webhook", hook.url)
        diverge(api, project, "lr-1")
        waits_for(hook, 1)
        first = hook.taken[0][0]["webhook-id"]
        again = api.post(f"/v1/targets/{made['id']}/deliveries/{first}/redeliver?project={project}")
        assert (again.status_code, again.json()["reason"]) == (202, "redelivered")
        waits_for(hook, 2)
        assert hook.taken[1][0]["webhook-id"] == first
        body = {"since": "2020-01-01T00:00:00Z"}
        recovered = api.post(f"/v1/targets/{made['id']}/recover?project={project}", json=body)
        assert recovered.json() == {"recovered": 0}


@pytest.mark.slow
def test_a_silence_is_kept_and_can_be_ended(api: TestClient, project: str) -> None:
    with receiving("webhook") as hook:
        make(api, project, "webhook", hook.url, group_wait_s=0)
        asked = {"matchers": [{"field": "group", "value": "scan"}], "duration_s": 3600, "comment": "moving"}
        made = api.post(f"/v1/silences?project={project}", json=asked)
        assert made.status_code == 201
        assert made.json()["active"] is True
        diverge(api, project, "lr-1", group="scan")
        diverge(api, project, "other")
        waits_for(hook, 1)
        assert b'"run":"other"' in hook.taken[0][1]
        assert api.delete(f"/v1/silences/{made.json()['id']}?project={project}").status_code == 204
        waits_for(hook, 2)
        assert b'"run":"lr-1"' in hook.taken[1][1]
        assert api.get(f"/v1/silences?project={project}").json()["silences"][0]["active"] is False


def test_a_target_can_be_changed_switched_off_and_removed(api: TestClient, project: str) -> None:
    made = make(api, project, "webhook", "http://127.0.0.1:9/x")
    path = f"/v1/targets/{made['id']}?project={project}"
    changed = api.patch(path, json={"min_severity": "critical", "conditions": ["silent", "run.failed"]}).json()
    assert (changed["min_severity"], changed["conditions"], changed["group_wait_s"]) == (
        "critical", ["run.failed", "silent"], 30.0,
    )  # fmt: skip
    off = api.patch(path, json={"enabled": False}).json()
    assert (off["state"], off["disabled_reason"]) == ("disabled", "switched off by a person")
    assert api.patch(path, json={"enabled": True}).json()["state"] == "active"
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404


def test_another_projects_targets_do_not_exist(api: TestClient, project: str) -> None:
    made = make(api, project, "webhook", "http://127.0.0.1:9/x")
    for method, path in [
        ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test"), ("POST", "/rotate"), ("GET", "/deliveries"),
        ("POST", "/deliveries/msg_1/redeliver"),
    ]:  # fmt: skip
        answer = api.request(method, f"/v1/targets/{made['id']}{path}?project=another", json={})
        assert (answer.status_code, answer.json()["type"]) == (404, "/docs/problems#target-not-found"), path


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"kind": "webhook", "url": "https://127.0.0.1/x"}, "/url"),
    ({"kind": "webhook", "url": "http://169.254.169.254/latest/meta-data"}, "/url"),
    ({"kind": "webhook", "url": "https://[::ffff:10.0.0.1]/"}, "/url"),
    ({"kind": "webhook", "url": "https://localhost/"}, "/url"),
    ({"kind": "webhook", "url": "https://example.org:22/"}, "/url"),
    ({"kind": "webhook", "url": "ftp://example.org/"}, "/url"),
    ({"kind": "slack", "url": "http://hooks.slack.com/services/x"}, "/url"),
    ({"kind": "slack"}, "/url"),
    ({"kind": "pagerduty"}, "/routing_key"),
    ({"kind": "email", "url": "mailto:a@example.org"}, "/url"),
    ({"kind": "apprise", "url": "json://localhost"}, "/kind"),
    ({"kind": "webhook", "url": "https://example.org/", "min_severity": "bad"}, "/min_severity"),
    ({"kind": "webhook", "url": "https://example.org/", "conditions": ["nan"]}, "/conditions/0"),
    ({"kind": "webhook", "url": "https://example.org/", "secret": "whsec_short"}, "/secret"),
    ({"kind": "webhook", "url": "https://example.org/", "repeat": 5}, "/repeat"),
    ({"kind": "webhook", "url": "https://example.org/", "group_wait_s": -1}, "/group_wait_s"),
    ({"kind": "webhook", "url": "https://example.org/", "name": "a\ud800"}, "/name"),
]


@pytest.mark.parametrize(("body", "pointer"), REFUSED, ids=[f"{b['kind']}-{i}" for i, (b, _) in enumerate(REFUSED)])
def test_a_target_that_cannot_be_used_is_refused_with_what_to_change(
    public_api: TestClient, body: dict[str, Any], pointer: str
) -> None:
    answer = public_api.post("/v1/targets", content=json.dumps(body))
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert public_api.get("/v1/targets").json()["targets"] == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9900/x", "https://10.0.0.1:9900/x", "http://localhost/x"])
def test_a_receiver_of_ones_own_is_refused_at_once_with_the_option_that_permits_it(
    public_api: TestClient, url: str
) -> None:
    answer = public_api.post("/v1/targets", json={"kind": "webhook", "url": url})
    assert (answer.status_code, "--allow-private-targets" in answer.json()["detail"]) == (422, True)


@pytest.mark.parametrize(
    "body",
    [
        {"matchers": [], "duration_s": 5},
        {"matchers": [{"field": "run", "value": "x"}]},
        {"matchers": [{"field": "run", "value": "x"}], "ends_at": "2020-01-01T00:00:00Z"},
        {"matchers": [{"field": "run", "value": "x"}], "ends_at": "tomorrow"},
        {"matchers": [{"field": "owner", "value": "x"}], "duration_s": 5},
        {"matchers": [{"field": "run", "operator": "regex", "value": ".*"}], "duration_s": 5},
    ],
)
def test_a_silence_that_means_nothing_is_refused(public_api: TestClient, body: dict[str, Any]) -> None:
    assert public_api.post("/v1/silences", json=body).status_code == 422


def test_a_run_that_is_deleted_takes_its_undelivered_messages_along(api: TestClient, project: str) -> None:
    made = make(api, project, "slack", "http://127.0.0.1:9/services/x")
    diverge(api, project, "gone")
    log = f"/v1/targets/{made['id']}/deliveries?project={project}"
    deadline = time.monotonic() + 20
    while not (found := api.get(log).json()["deliveries"]) or found[0]["tries"] == 0:
        assert time.monotonic() < deadline
    assert api.delete(f"/v1/runs/gone?project={project}").status_code == 204
    while api.get(log).json()["deliveries"][0]["state"] != "dropped":
        assert time.monotonic() < deadline


MAIL = [
    ("smtp://u:p%40ss@mail.example.org", ("mail.example.org", 587, "starttls", "u", "p@ss")),
    ("smtps://mail.example.org:465", ("mail.example.org", 465, "tls", None, None)),
    ("smtp+plain://localhost:2525", ("localhost", 2525, "none", None, None)),
]


@pytest.mark.parametrize(("url", "expected"), MAIL)
def test_the_mail_server_is_one_url(url: str, expected: tuple[Any, ...]) -> None:
    server = mail_server(url, "watch@example.org")
    assert (server.host, server.port, server.security, server.username, server.password) == expected


def test_a_mail_server_that_cannot_be_read_is_refused_without_its_password() -> None:
    with pytest.raises(SettingsError) as refused:
        mail_server("http://u:SECRET@mail", "watch@example.org")
    assert "SECRET" not in str(refused.value)


FILE = """
[[targets]]
name = "team"
kind = "slack"
url_file = "slack-url"
min_severity = "critical"
conditions = ["diverging", "silent"]

[[targets]]
name = "hook"
project = "research"
kind = "webhook"
url = "https://example.org/losswatch"
secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
"""


def test_targets_from_a_file_are_there_after_the_start_and_only_changed_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "slack-url").write_text("https://hooks.slack.com/services/T0/B0/SECRETwXyz\n")
    path = tmp_path / "targets.toml"
    settings = Settings(data_dir=tmp_path / "data", targets_file=path)
    path.write_text(FILE)
    with TestClient(create_app(settings), "http://localhost") as api:
        (team,) = api.get("/v1/targets").json()["targets"]
        assert (team["name"], team["source"], team["url"]) == ("team", "file", "https://hooks.slack.com/…wXyz")
        assert (team["min_severity"], team["conditions"]) == ("critical", ["diverging", "silent"])
        assert api.patch(f"/v1/targets/{team['id']}", json={"name": "x"}).status_code == 409
        assert api.delete(f"/v1/targets/{team['id']}").status_code == 409
        (hook,) = api.get("/v1/targets?project=research").json()["targets"]
        assert hook["name"] == "hook"
    path.write_text(FILE.replace('"critical"', '"warning"').split('[[targets]]\nname = "hook"')[0])
    with TestClient(create_app(settings), "http://localhost") as api:
        (again,) = api.get("/v1/targets").json()["targets"]
        assert (again["id"], again["created_at"], again["min_severity"]) == (team["id"], team["created_at"], "warning")
        assert api.get("/v1/targets?project=research").json()["targets"] == []


SLACK = "[[targets]]\nname = 'a'\nkind = 'slack'\nurl = 'https://x.org/'\n"
BAD_FILES = [
    ("[[targets]]\nkind = 'slack'\n", "target 1: `name` is missing"),
    ("[[targets]]\nname = 'a'\nkind = 'fax'\n", "target 1: `kind` is one of"),
    ("[[targets]]\nname = 'a'\nkind = 'slack'\n", "target 1: `url` or `url_file` is missing"),
    ("[[targets]]\nname = 'a'\nkind = 'slack'\nurl = 'https://10.0.0.1/'\n", "loopback, private or reserved"),
    ("[[targets]]\nname = 'a'\nkind = 'webhook'\nurl = 'https://example.org/'\n", "`secret` is whsec_"),
    ("[[targets]]\nname = 'a'\nkind = 'slack'\nurl = 'https://x.org/'\nseverity = 'high'\n", "unknown names: severity"),
    ("[[targets]]\nname = 'a'\nkind = 'slack'\nurl_file = 'nowhere'\n", "nowhere cannot be read: No such file"),
    (SLACK + "min_severity = 'fatal'\n", "`min_severity` is one of info, warning, critical, not 'fatal'"),
    (SLACK + "conditions = ['divergin']\n", "`conditions` is one of non_finite, diverging,"),
    (SLACK + "group_by = 'run'\n", "`group_by` is a list"),
    (SLACK + "group_by = ['story']\n", "`group_by` is one of group, condition, run, not 'story'"),
    ("[[targets]\n", "is not TOML"),
]


@pytest.mark.parametrize(("text", "words"), BAD_FILES)
def test_a_targets_file_with_a_mistake_says_where(tmp_path: Path, text: str, words: str) -> None:
    from losswatch_server.alerts.targets_file import TargetsFileError, read_targets

    path = tmp_path / "targets.toml"
    path.write_text(text)
    with pytest.raises(TargetsFileError) as refused:
        read_targets(path, 0.0, allow_private=False)
    assert words in str(refused.value)
    assert "Error" not in str(refused.value), "the name of an exception is nothing for an operator"
