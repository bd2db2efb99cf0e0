"""A real browser on this machine, with a page of another site open: it changes nothing and reads nothing."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from cli.test_connections import Service, running
from dashboard.conftest import NEEDS_CHROMIUM

pytestmark = NEEDS_CHROMIUM

ATTACK = """async (service) => {
  const read = [], point = '{"step": 1, "loss": 0.5}', url = service + '/v1/runs/owned/points';
  const target = '{"kind": "webhook", "url": "https://evil.example/x", "min_severity": "info"}';
  const attempt = async (name, work) => {
    try { const got = await work(); if (got) read.push(name + ': ' + got); } catch (error) { }
  };
  for (const mode of ['cors', 'no-cors']) {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', 'application/json']) {
      const headers = {'Content-Type': type};
      await attempt(mode + type, async () => (await fetch(url, {method: 'POST', mode, headers, body: point})).text());
      await attempt(mode + type + ' target', async () =>
        (await fetch(service + '/v1/targets', {method: 'POST', mode, headers, body: target})).text());
    }
    for (const path of ['/v1/runs', '/v1/runs/mine', '/v1/runs/mine/points', '/metrics', '/openapi.json', '/livez'])
      await attempt(mode + path, async () => (await fetch(service + path, {mode})).text());
    for (const method of ['PUT', 'DELETE', 'PATCH'])
      await attempt(method, async () => (await fetch(service + '/v1/runs/mine', {method, mode})).text());
  }
  await attempt('no type', async () => (await fetch(url, {method: 'POST', mode: 'no-cors',
    body: new Blob([point])})).text());
  navigator.sendBeacon(url, point);
  navigator.sendBeacon(url, new Blob([point], {type: 'text/plain'}));
  navigator.sendBeacon(service + '/v1/runs/mine/finish', '{"state": "failed"}');
  const embedded = (tag, where) => new Promise(done => {
    const node = document.createElement(tag);
    Object.assign(node, {onload: () => done(tag + ' loaded'), onerror: () => done()});
    node[tag === 'link' ? 'href' : 'src'] = service + where;
    if (tag === 'link') node.rel = 'stylesheet';
    document.body.append(node);
  });
  await attempt('image', () => embedded('img', '/v1/runs'));
  await attempt('script', () => embedded('script', '/docs/assets/swagger-ui-bundle.js'));
  await attempt('style', () => embedded('link', '/docs/assets/swagger-ui.css'));
  await attempt('global', async () => window.SwaggerUIBundle && 'SwaggerUIBundle');
  return read;
}"""

FORM = """<form method=post enctype=text/plain action={url}>
<input name='{{"step": 1, "loss": 0.5, "time": "' value='"}}'></form><a href={link}>a run</a>"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("data")) as one:
        httpx.post(f"{at(one)}/v1/runs/mine/points", json={"step": 1, "loss": 0.5}, trust_env=False)
        yield one


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context() as context:
        yield context.new_page()


@pytest.fixture(scope="module")
def elsewhere(service: Service) -> Iterator[int]:
    """The port of a web server of somebody else."""
    text = FORM.format(url=f"{at(service)}/v1/runs/owned/points", link=f"{at(service)}/v1/runs/mine")

    class Pages(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def at(service: Service) -> str:
    return f"http://{service.address[0]}:{service.address[1]}"


def kept(service: Service) -> tuple[list[str], str, int, int]:
    """What an attack would have changed."""
    with httpx.Client(base_url=at(service), trust_env=False) as client:
        runs = [run["run"] for run in client.get("/v1/runs").json()["runs"]]
        mine = client.get("/v1/runs/mine").json()
        points = len(client.get("/v1/runs/mine/points").json()["points"])
        return runs, mine["state"], points, len(client.get("/v1/targets").json()["targets"])


UNTOUCHED = (["mine"], "running", 1, 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["same site", "cross site"])
def test_a_page_of_another_origin_changes_and_reads_nothing(
    service: Service, page: Page, elsewhere: int, host: str
) -> None:
    page.goto(f"http://{host}:{elsewhere}/")
    assert page.evaluate(ATTACK, at(service)) == []
    with page.expect_response(lambda answer: answer.url.endswith("/points")) as answered:
        page.evaluate("document.forms[0].submit()")
    assert answered.value.status == 403
    assert kept(service) == UNTOUCHED


def test_a_sandboxed_frame_changes_nothing(service: Service, page: Page, elsewhere: int) -> None:
    page.goto(f"http://localhost:{elsewhere}/")
    page.evaluate(
        """(url) => new Promise(done => {
            addEventListener('message', done, {once: true});
            document.body.append(Object.assign(document.createElement('iframe'), {
                sandbox: 'allow-scripts',
                srcdoc: `<script>fetch('${url}', {method: 'POST', mode: 'no-cors', body: '{"step": 1}'})
                    .catch(() => 0).then(() => parent.postMessage('done', '*'))</script>`,
            }));
        })""",
        f"{at(service)}/v1/runs/owned/points",
    )
    assert kept(service) == UNTOUCHED


def test_a_link_from_elsewhere_opens_a_run(service: Service, page: Page, elsewhere: int) -> None:
    page.goto(f"http://localhost:{elsewhere}/")
    with page.expect_navigation() as followed:
        page.click("a")
    answer = followed.value
    assert answer is not None
    assert answer.request.all_headers()["sec-fetch-site"] == "cross-site"
    assert answer.json()["run"] == "mine"


def test_pages_of_our_own_read_and_write(service: Service, page: Page) -> None:
    page.goto(f"{at(service)}/docs/api")
    page.wait_for_selector(".opblock")  # the page has read its script, its style and openapi.json
    accepted = page.evaluate(
        """async () => {
            const body = '{"step": 1, "loss": 0.5}';
            const run = '/v1/runs/by-hand';
            const answer = await fetch(run + '/points', {method: 'POST', body});
            const accepted = (await answer.json()).accepted;
            await fetch(run, {method: 'DELETE'});
            return accepted;
        }"""
    )
    assert accepted == 1
    assert kept(service) == UNTOUCHED
