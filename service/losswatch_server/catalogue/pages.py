"""The pages of conditions and causes, read from their files: title, figures, links, and the HTML that is shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from losswatch_server.catalogue import actions, figures, recognition, rules
from losswatch_server.catalogue.markdown import render, split_front_matter
from losswatch_server.monitor.vocabulary import CauseName, Condition

Kind = Literal["condition", "cause"]

_FOLDERS: Mapping[Kind, str] = {"condition": "conditions", "cause": "causes"}
_NAMES: Mapping[Kind, tuple[str, ...]] = {"condition": tuple(Condition), "cause": tuple(CauseName)}
_PICTURE = re.compile(r"!\[([^\]]*)\]\(\.\./pictures/([a-z_]+\.svg)\)\n\n?")
_IMAGE = re.compile(r'<img src="\.\./pictures/([a-z_]+\.svg)"[^>]*>')
_GLOSSARY = re.compile(r"\]\(\.\./\.\./docs/glossary\.md(#[\w-]+)\)")
_PAGE_LINK = re.compile(r"\]\((?:\.\./)?(?:(conditions|causes)/)?([a-z_]+)\.md\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page. ``markdown`` begins with its title; its figures are filled in and its links lead to the API.

    The picture is a part of ``html`` alone: markdown is read where no picture can be shown.
    """

    name: str
    kind: Kind
    title: str
    summary: str
    markdown: str
    html: str

    @property
    def url(self) -> str:
        """Where the API serves it, as in a finding's ``docs``."""
        return f"/v1/{_FOLDERS[self.kind]}/{self.name}"


def conditions() -> tuple[Page, ...]:
    """The page of every condition, in the vocabulary's order."""
    return tuple(page("condition", name) for name in _NAMES["condition"])


def causes() -> tuple[Page, ...]:
    """The page of every cause, in the vocabulary's order."""
    return tuple(page("cause", name) for name in _NAMES["cause"])


@cache
def page(kind: Kind, name: str) -> Page:
    """The page of one condition or cause; KeyError for a name that is not in the vocabulary."""
    if name not in _NAMES[kind]:
        raise KeyError(f"no {kind} is called {name!r}; there are {', '.join(_NAMES[kind])}")
    folder = _FOLDERS[kind]
    text = (resources.files("losswatch_server.catalogue") / folder / f"{name}.md").read_text(encoding="utf-8")
    header, body = split_front_matter(text)
    body = rules.resolve(body, Condition(name)) if kind == "condition" else recognition.resolve(body, CauseName(name))
    body = actions.resolve(figures.resolve(body, figures.load()))
    body = f"# {header['title']}\n\n{header['summary']}\n\n{link_to_the_api(body, folder)}"
    return Page(
        name=str(name),
        kind=kind,
        title=header["title"],
        summary=header["summary"],
        markdown=_PICTURE.sub("", body),
        html=with_pictures(render(body)),
    )


def link_to_the_api(markdown: str, folder: str) -> str:
    """Links between page files (``../causes/bad_batch.md``) turned into the API's (``/v1/causes/bad_batch``).

    A word that the glossary explains links to it: ``../../docs/glossary.md#sharpness``.
    """
    markdown = _GLOSSARY.sub(r"](/docs/glossary\1)", markdown)
    return _PAGE_LINK.sub(lambda link: f"](/v1/{link[1] or folder}/{link[2]})", markdown)


def with_pictures(html: str) -> str:
    """Each picture of the catalogue drawn in its place: a page that allows nothing from elsewhere may show it."""
    folder = resources.files("losswatch_server.catalogue") / "pictures"
    return _IMAGE.sub(lambda image: (folder / image[1]).read_text(encoding="utf-8"), html)
