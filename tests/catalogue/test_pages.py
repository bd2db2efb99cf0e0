"""The catalogue is complete: every condition and cause has its page, every page its parts, every link its end."""

from __future__ import annotations

import dataclasses
import inspect
import re
from importlib import resources

import pytest

from losswatch_server import catalogue
from losswatch_server.catalogue import pages, rules
from losswatch_server.catalogue.markdown import render
from losswatch_server.monitor.advice import ACTIONS, REMEDIES
from losswatch_server.monitor.conditions import DETECTORS
from losswatch_server.monitor.diagnosis.priors import PRIORS
from losswatch_server.monitor.memory.memory import Memory
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.rules.base import View
from losswatch_server.monitor.rules.minimum_runtime import LEAST_SINGLE_STEPS, patience_over
from losswatch_server.monitor.vocabulary import CauseName, Condition

CONDITION_HEADINGS = [
    "What you see",
    "What it means",
    "Why it happens",
    "What to do",
    "The rule, exactly",
    "How often it is wrong",
    "When it does not fire",
    "References",
]
CAUSE_HEADINGS = [
    "What it is",
    "How Losswatch recognises it",
    "The check that separates it from its rivals",
    "What to do",
    "Example fix",
    "References",
]
ALL = [*catalogue.conditions(), *catalogue.causes()]
USUAL = -0.7
"""Prior log-odds from which on a cause belongs on a condition's page: about half as likely as the usual ones."""
every_page = pytest.mark.parametrize("page", ALL, ids=lambda page: f"{page.kind}-{page.name}")


def source(page: catalogue.Page) -> str:
    folder = "conditions" if page.kind == "condition" else "causes"
    return (resources.files("losswatch_server.catalogue") / folder / f"{page.name}.md").read_text(encoding="utf-8")


def test_every_condition_and_every_cause_has_a_page():
    assert [page.name for page in catalogue.conditions()] == list(Condition)
    assert [page.name for page in catalogue.causes()] == list(CauseName)


def test_no_page_is_left_over_from_a_word_that_no_longer_exists():
    for folder, names in (("conditions", Condition), ("causes", CauseName)):
        files = {entry.name for entry in (resources.files("losswatch_server.catalogue") / folder).iterdir()}
        assert files == {f"{name}.md" for name in names}


@every_page
def test_a_page_has_its_headings_in_order_and_words_under_each(page):
    wanted = CONDITION_HEADINGS if page.kind == "condition" else CAUSE_HEADINGS
    parts = re.split(r"^## (.+)$", page.markdown, flags=re.MULTILINE)
    assert parts[1::2] == wanted
    assert all(len(text.split()) >= 5 for text in parts[2::2])


@every_page
def test_a_page_has_a_title_and_a_summary_of_one_sentence(page):
    assert page.title
    assert page.summary.endswith(".")
    assert page.summary.count(". ") == 0
    assert page.markdown.startswith(f"# {page.title}\n\n{page.summary}\n")
    assert page.html.startswith("<h1 ")


def test_every_condition_but_silence_has_a_picture_of_its_own():
    drawn = {entry.name for entry in (resources.files("losswatch_server.catalogue") / "pictures").iterdir()}
    assert drawn == {f"{condition}.svg" for condition in Condition if condition is not Condition.SILENT}
    for page in catalogue.conditions():
        shown = re.findall(r"\.\./pictures/(\w+)\.svg", source(page))
        assert shown == ([page.name] if page.name != Condition.SILENT else [])


@every_page
def test_a_picture_is_drawn_in_the_html_and_left_out_of_the_markdown(page):
    has_one = "../pictures/" in source(page)
    assert page.html.count("<svg ") == page.html.count("</svg>") == has_one
    assert "<img" not in page.html
    assert "pictures/" not in page.markdown
    assert " style=" not in page.html, "the content security policy of the page would refuse it"


@every_page
def test_every_link_inside_the_catalogue_leads_to_a_page(page):
    urls = {other.url for other in ALL}
    links = re.findall(r"\]\(([^)]+)\)", page.markdown)
    inside = {link for link in links if not link.startswith(("https://", "/docs/glossary#"))}
    assert inside <= urls
    assert page.url not in inside


@every_page
def test_no_placeholder_is_left_in_a_served_page(page):
    assert "{{" not in page.markdown
    assert "@@" not in page.markdown
    assert not page.markdown.startswith("---")


@every_page
def test_the_html_shows_the_same_links_and_headings(page):
    assert page.html.count("<h2 ") == len(CONDITION_HEADINGS if page.kind == "condition" else CAUSE_HEADINGS)
    for link in re.findall(r"\]\(([^)]+)\)", page.markdown):
        assert f'href="{link}"' in page.html


def test_every_cause_is_named_by_a_condition_that_it_can_bring_about():
    named = {link for page in catalogue.conditions() for link in re.findall(r"\(/v1/causes/(\w+)\)", page.markdown)}
    assert named == set(CauseName)


def test_every_cause_says_what_speaks_for_it_and_what_against():
    for page in catalogue.causes():
        recognised = page.markdown.split("## How Losswatch recognises it")[1].split("## The check")[0]
        assert "\nFor it:\n" in recognised, page.name
        assert "\nAgainst it:\n" in recognised, page.name


def test_every_cause_gives_a_number_to_try():
    for page in catalogue.causes():
        what_to_do = page.markdown.split("## What to do")[1].split("## Example fix")[0]
        numbers = re.findall(r"\*\*[^*]*\*\*", what_to_do)
        assert numbers, page.name


FLAT = (Condition.NOT_LEARNING, Condition.PLATEAU, Condition.SLOW_CONVERGENCE, Condition.CONVERGED)


@pytest.mark.parametrize("condition", [c for c in Condition if rules.parameters(c)], ids=str)
def test_the_rule_names_every_parameter_of_its_detectors(condition):
    page = catalogue.page("condition", condition)
    quoted = set(re.findall(r"\{\{parameter:(\w+)\}\}", source(page)))
    if "{{patience" in source(page):
        quoted |= {"patience", "rising_patience"} & set(rules.parameters(condition))
    if condition in FLAT:
        assert quoted <= set(rules.parameters(condition))
    else:
        assert quoted == set(rules.parameters(condition)), "a parameter without words, or words without a parameter"
    assert ("{{life}}" in source(page)) == bool(rules.detectors_of(condition))


def test_the_pages_of_flat_runs_name_every_parameter_of_their_table_together():
    quoted = {"patience", "rising_patience"}
    for condition in FLAT:
        quoted |= set(re.findall(r"\{\{parameter:(\w+)\}\}", source(catalogue.page("condition", condition))))
    assert quoted == set(rules.parameters(Condition.PLATEAU))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.7, 0.85])
def test_the_page_says_for_how_many_steps_a_rule_waits(share):
    """As ``patience_over`` does: fed step by step, without a plan, until it has seen enough."""
    view = View(memory=Memory())
    for step in range(1000):
        view.memory.loss.add(step, 1.0 + 0.1 * (step % 7))
        view.point = Point(step, loss=1.0)
        view.forget_shape()
        if patience_over(view, share):
            break
    steps = int(re.search(r"waits for (\d+) steps", rules.waiting({"patience": share}))[1])
    assert view.memory.loss.n in (steps, steps + 1)


def test_the_page_says_from_how_many_points_on_a_rule_may_speak():
    words = [
        rules.resolve(text, Condition.VANISHING_GRADIENT) for text in ("{{patience}}", "{{patience from least_points}}")
    ]
    (vanishing,) = rules.detectors_of(Condition.VANISHING_GRADIENT)
    assert f"It needs {LEAST_SINGLE_STEPS} points" in words[0]
    assert f"It needs {vanishing.least_points} points" in words[1]


def test_parameters_of_two_detectors_of_one_condition_have_different_names_or_one_value():
    for condition in Condition:
        values = {(f.name, getattr(d, f.name)) for d in rules.detectors_of(condition) for f in dataclasses.fields(d)}
        assert len(values) == len(rules.parameters(condition)) or condition is Condition.SILENT, condition


def test_a_changed_parameter_changes_the_page():
    text = rules.resolve("above {{parameter:total_rise}} times", Condition.DIVERGING)
    (diverging,) = [d for d in DETECTORS if d.condition is Condition.DIVERGING]
    assert text == f"above {diverging.total_rise:g} times"


def test_a_parameter_that_no_detector_has_is_refused_and_the_known_ones_are_listed():
    with pytest.raises(ValueError, match=r"no parameter 'totl_rise'; there are .*total_rise"):
        rules.resolve("above {{parameter:totl_rise}} times", Condition.DIVERGING)


@pytest.mark.parametrize("condition", PRIORS, ids=str)
def test_a_condition_names_every_cause_that_is_usual_for_it(condition):
    usual = {cause for cause, log_odds in PRIORS[condition].items() if log_odds >= USUAL}
    why = catalogue.page("condition", condition).markdown.split("## Why it happens")[1].split("## What to do")[0]
    assert usual - set(re.findall(r"/v1/causes/(\w+)", why)) == set()


def test_every_action_of_the_advice_is_explained_on_a_page():
    quoted = {action for page in ALL for action in re.findall(r"\{\{action:(\w+)\}\}", source(page))}
    assert quoted == set(ACTIONS)


@pytest.mark.parametrize("cause", CauseName)
def test_a_cause_lists_the_actions_that_its_remedy_can_name(cause):
    """The remedy's source is read, because what it advises depends on a run."""
    code = inspect.getsource(REMEDIES[cause])
    named = set(re.findall(r'action="(\w+)"', code))
    quoted = set(re.findall(r"\{\{action:(\w+)\}\}", source(catalogue.page("cause", cause))))
    assert named <= quoted


def test_an_unknown_name_is_refused_and_the_known_ones_are_listed():
    with pytest.raises(KeyError, match="diverging"):
        catalogue.page("condition", "divergin")


def test_raw_html_in_a_page_is_shown_and_not_run():
    assert "<script>" not in render("a <script>alert(1)</script> b")
    assert "&lt;script&gt;" in render("a <script>alert(1)</script> b")


def test_links_between_page_files_become_links_of_the_api():
    text = "[a](../causes/bad_batch.md) [b](plateau.md) [c](https://example.org/x.md)"
    assert pages.link_to_the_api(text, "conditions") == (
        "[a](/v1/causes/bad_batch) [b](/v1/conditions/plateau) [c](https://example.org/x.md)"
    )
