"""A wrong address is said with how to mend it."""

from __future__ import annotations

import logging

import pytest
from service_stub import BadService, free_port

import losswatch


def said_at(url: str, caplog: pytest.LogCaptureFixture) -> str:
    with caplog.at_level(logging.WARNING, "losswatch"):
        run = losswatch.Run("a", url=url, quiet=True, flush_interval=0.01)
        run.log(0, loss=1.0)
        assert not run.flush(0.5)
        run.finish(timeout=2.0)
    said = [record.getMessage() for record in caplog.records]
    return next(one for one in said if "is away (" in one or "refuses the points (" in one)


@pytest.mark.slow
def test_nobody_listens_on_this_machine(caplog: pytest.LogCaptureFixture) -> None:
    said = said_at(f"127.0.0.1:{free_port()}", caplog)
    assert "`losswatch-server serve` starts one on this machine; LOSSWATCH_URL or url= sets another" in said


@pytest.mark.slow
def test_a_scheme_that_is_none_of_http(caplog: pytest.LogCaptureFixture) -> None:
    assert "an address begins with http:// or https://" in said_at("htp://127.0.0.1:8000", caplog)


@pytest.mark.slow
def test_https_where_plain_http_is_spoken(caplog: pytest.LogCaptureFixture) -> None:
    with BadService() as service:
        said = said_at(service.url.replace("http://", "https://"), caplog)
        assert f"does it speak plain HTTP? then it is {service.url}" in said


@pytest.mark.slow
def test_a_path_behind_the_address(caplog: pytest.LogCaptureFixture) -> None:
    with BadService(lambda request, service: (404, {}, {"detail": "Not Found"})) as service:
        assert f"leave out the path: {service.url}; LOSSWATCH_URL" in said_at(service.url + "/v1", caplog)


@pytest.mark.slow
def test_something_else_answers(caplog: pytest.LogCaptureFixture) -> None:
    with BadService(lambda request, service: (200, {}, b"<html>")) as service:
        assert "something else answers there" in said_at(service.url, caplog)


@pytest.mark.slow
def test_a_key_is_missing(caplog: pytest.LogCaptureFixture) -> None:
    with BadService(lambda request, service: (401, {}, {"detail": "no key", "type": "x"})) as service:
        said = said_at(service.url, caplog)
        assert "LOSSWATCH_API_KEY or api_key= gives one" in said
        assert "is away" not in caplog.text, "somebody is there, and says no"


@pytest.mark.slow
def test_a_key_is_for_another_project(caplog: pytest.LogCaptureFixture) -> None:
    refused = {"detail": "There is no such project, or this key is not for it.", "type": "/docs/problems#x"}
    with BadService(lambda request, service: (404, {}, refused)) as service:
        said = said_at(service.url, caplog)
        assert "LOSSWATCH_PROJECT or project= names another" in said
        assert "something else" not in said
