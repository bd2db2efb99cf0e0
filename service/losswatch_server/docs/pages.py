"""Reading the pages of the documentation: their order, their titles, and links that lead to the service."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from losswatch_server.catalogue.markdown import render

CONTENTS = "README"
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
_ITEM = re.compile(r"^- \[[^\]]+\]\(([a-z-]+)\.md\)", re.MULTILINE)
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
_CATALOGUE = re.compile(r"\.\./catalogue/(conditions|causes)/?(?:([a-z_]+)\.md)?")
_PAGE = re.compile(r"([A-Za-z-]+)\.md(#[\w-]+)?")
_COMMENT = re.compile(r"^<!-- .* -->\n", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentationPage:
    """One page: ``name`` is the file's without ``.md``, ``url`` where the service shows it."""

    name: str
    title: str
    markdown: str
    html: str

    @property
    def url(self) -> str:
        """Its path; the contents stand at ``/docs`` itself."""
        return url(self.name)


def contents() -> tuple[DocumentationPage, ...]:
    """The contents first, then every page in the order in which the contents list them."""
    return (page(CONTENTS), *(page(name) for name in _ITEM.findall(_text(CONTENTS))))


@cache
def page(name: str) -> DocumentationPage:
    """The page of this name; KeyError when there is none."""
    if name != CONTENTS and name not in _ITEM.findall(_text(CONTENTS)):
        raise KeyError(name)
    text = _text(name)
    title = _TITLE.search(text)
    assert title is not None, f"{name}.md begins with a title"
    text = link_to_the_service(_COMMENT.sub("", text))
    return DocumentationPage(name=name, title=title[1], markdown=text, html=render(text))


def llms() -> str:
    """The contents for language models, as https://llmstxt.org describes them."""
    return (resources.files("losswatch_server.docs") / "llms.txt").read_text(encoding="utf-8")


def url(name: str) -> str:
    """Where the service shows the page of a name."""
    return "/docs" if name == CONTENTS else f"/docs/{name}"


def link_to_the_service(markdown: str) -> str:
    """Links between files turned into links of the service.

    A link to a file that is not installed with the service keeps its words, which name the file, and leads nowhere.
    """
    return _LINK.sub(lambda link: _link(link[1], link[2]), markdown)


def _link(words: str, target: str) -> str:
    if "://" in target or target.startswith(("#", "mailto:")):
        return f"[{words}]({target})"
    if target.endswith("/openapi.json"):
        return f"[{words}](/docs/api)"
    if of_catalogue := _CATALOGUE.fullmatch(target):
        return f"[{words}](/v1/{of_catalogue[1]}{f'/{of_catalogue[2]}' if of_catalogue[2] else ''})"
    if of_docs := _PAGE.fullmatch(target):
        return f"[{words}]({url(of_docs[1])}{of_docs[2] or ''})"
    return words


def _text(name: str) -> str:
    return (resources.files("losswatch_server.docs") / f"{name}.md").read_text(encoding="utf-8")
