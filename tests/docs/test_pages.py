"""The documentation as the service shows it: complete, linked, readable in a browser and by GitHub alike."""

from __future__ import annotations

import re
import subprocess
import tomllib
from html.parser import HTMLParser

import pytest
from starlette.testclient import TestClient

from docs.parts import PAGES, ROOT
from losswatch_server import docs
from losswatch_server.app import create_app
from losswatch_server.catalogue.markdown import slug
from losswatch_server.docs.pages import link_to_the_service
from losswatch_server.monitor.vocabulary import CauseName, Condition
from losswatch_server.settings import Settings

CONTENTS = docs.contents()
every_page = pytest.mark.parametrize("page", CONTENTS, ids=lambda page: page.name)


class Seen(HTMLParser):
    """The links, anchors, titles and code of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.headings: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a":
            self.links.append(given["href"] or "")
        if given.get("id"):
            self.anchors.add(given["id"] or "")
        if tag in ("h1", "h2", "h3"):
            self.headings.append(tag)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    app = create_app(Settings(data_dir=tmp_path_factory.mktemp("data")))
    with TestClient(app, "http://localhost", headers={"Accept": "text/html,*/*;q=0.8"}) as client:
        yield client


def test_the_contents_list_every_page_and_nothing_else():
    assert sorted(page.name for page in CONTENTS) == sorted(path.stem for path in PAGES.glob("*.md"))


@every_page
def test_a_page_is_shown_with_one_title_and_a_way_back(browser, page):
    answer = browser.get(page.url)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    seen = Seen(answer.text)
    assert seen.headings.count("h1") == 1
    assert seen.headings[0] == "h1"
    assert f'<h1 id="{slug(page.title)}">' in answer.text
    way = {"/"} if page.url == "/docs" else {"/", "/docs"}
    assert way <= set(seen.links[:2])


def addresses() -> list[str]:
    pages = [page.url for page in CONTENTS]
    lists = ["/docs/problems", "/v1/conditions", "/v1/causes"]
    return [*pages, *lists, *(f"/v1/conditions/{c}" for c in Condition), *(f"/v1/causes/{c}" for c in CauseName)]


@pytest.mark.slow
@pytest.mark.parametrize("address", addresses())
def test_every_link_of_a_page_leads_somewhere_in_the_service(browser, address):
    seen = Seen(browser.get(address).text)
    assert seen.links
    for link in seen.links:
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = browser.get(path or address)
        assert target.status_code == 200, link
        assert not anchor or anchor in Seen(target.text).anchors, link


@pytest.mark.parametrize("address", addresses())
def test_a_page_can_be_read_in_the_dark_and_its_code_is_not_indented(browser, address):
    text = browser.get(address).text
    assert "color-scheme:light dark" in text
    assert re.search(r"pre code\{padding:0", text)
    assert not re.search(r"<p>[^<]*`[^<]*</p>", text), "markup that was not rendered"
    assert "](" not in re.sub(r"<code.*?</code>", "", text, flags=re.DOTALL)
    assert "written:" not in text


@pytest.mark.parametrize("word", ["attempt", "gradient-norm", "sharpness", "loss-scaler", "chance-level", "rank"])
def test_the_glossary_explains_what_beginners_stumble_on(browser, word):
    assert word in Seen(browser.get("/docs/glossary").text).anchors


@every_page
def test_a_link_to_an_anchor_leads_to_a_heading_on_github_too(page):
    for target, anchor in re.findall(r"\]\(([\w-]*\.?m?d?)#([\w-]+)\)", (PAGES / f"{page.name}.md").read_text()):
        headings = re.findall(r"^#+ (.+)$", (PAGES / (target or f"{page.name}.md")).read_text(), re.MULTILINE)
        assert anchor in {slug(heading) for heading in headings}, target


def test_the_contents_lead_to_the_api_the_errors_and_the_catalogue(browser):
    reached = {link for page in CONTENTS for link in Seen(browser.get(page.url).text).links}
    assert {"/docs/api", "/v1/conditions", "/v1/causes"} <= reached
    assert "SwaggerUIBundle" in browser.get("/docs/assets/start.js").text
    assert "swagger-ui-bundle.js" in browser.get("/docs/api").text


def test_a_link_out_of_the_installed_files_keeps_its_words_alone():
    text = "[a](limits.md) [b](../catalogue/causes/bad_batch.md) [`deploy/`](../../../deploy/x.md) [c](glossary.md#run)"
    assert link_to_the_service(text) == "[a](/docs/limits) [b](/v1/causes/bad_batch) `deploy/` [c](/docs/glossary#run)"


def test_an_unknown_page_is_a_problem_that_names_the_contents(browser):
    answer = browser.get("/docs/no-such-page")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert "GET /docs" in answer.json()["detail"]
    assert browser.get("/docs/README", follow_redirects=False).headers["location"] == "/docs"


def test_the_documentation_is_installed_with_the_service():
    """The wheel takes the package folder, without what git ignores."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert any(PAGES.is_relative_to(ROOT / package) for package in build["targets"]["wheel"]["packages"])
    command = ["git", "check-ignore", *map(str, PAGES.iterdir())]
    ignored = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert [line for line in ignored.stdout.splitlines() if not line.endswith("__pycache__")] == []


def test_every_page_is_there_as_markdown_too(browser):
    for page in CONTENTS:
        answer = browser.get(f"/docs/{page.name}.md")
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/markdown")
        assert answer.text.startswith(f"# {page.title}\n")
    assert browser.get("/docs/no-such-page.md").status_code == 404


def test_llms_txt_leads_to_every_page_and_nowhere_else(browser):
    """The form is that of llmstxt.org: a title, a quoted summary, and lists of links below headings."""
    text = browser.get("/llms.txt").text
    assert re.match(r"# Losswatch\n\n> .+\n\n", text)
    links = re.findall(r"^- \[[^\]]+\]\(([^)]+)\)", text, re.MULTILINE)
    assert {f"/docs/{page.name}.md" for page in CONTENTS if page.url != "/docs"} < set(links)
    for link in links:
        assert browser.get(link).status_code == 200, link


def test_the_skill_says_when_to_use_it():
    head = (ROOT / "clients/agents/losswatch/SKILL.md").read_text().split("---\n")[1]
    said = dict(line.split(": ", 1) for line in head.splitlines())
    assert said["name"] == "losswatch"
    assert 50 < len(said["description"]) <= 1024
