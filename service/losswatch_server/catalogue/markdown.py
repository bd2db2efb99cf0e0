"""Markdown to HTML, for every page that the service shows: CommonMark with tables, and headings that can be linked."""

from __future__ import annotations

import re
from itertools import pairwise

from markdown_it import MarkdownIt

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


def render(markdown: str) -> str:
    """HTML of a page. Raw HTML in the text is escaped; each heading has the ``id`` that GitHub gives it."""
    tokens = _MARKDOWN.parse(markdown)
    for opening, words in pairwise(tokens):
        if opening.type == "heading_open":
            opening.attrSet("id", slug(words.content))
    return str(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))


def render_inline(markdown: str) -> str:
    """HTML of one sentence, without a paragraph around it."""
    return str(_MARKDOWN.renderInline(markdown))


def slug(heading: str) -> str:
    """The anchor of a heading, by GitHub's rule: lower case, no punctuation, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def split_front_matter(text: str) -> tuple[dict[str, str], str]:
    """The ``name: value`` lines between the leading ``---`` lines, and the markdown after them."""
    _, header, body = text.split("---\n", 2)
    pairs = (line.split(":", 1) for line in header.splitlines())
    return {name.strip(): value.strip() for name, value in pairs}, body.lstrip("\n")
