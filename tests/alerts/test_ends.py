"""How runs end: every run that dies of its fault is told, as what it is, and once."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from alerts.story import START, Story, between
from losswatch_server.alerts.channels.channel import Links
from losswatch_server.alerts.egress.client import Answer
from losswatch_server.alerts.service_messages import sample
from losswatch_server.alerts.targets import Target

HOUR = 3_600.0
HOOK = "https://example.org/hook"
SLACK = "https://hooks.slack.com/services/T/B/x"


def test_a_run_that_is_silent_for_a_moment_is_not_worth_a_message(story: Story) -> None:
    story.target()
    story.at(0).falls_silent("lr-1")
    story.at(20).returns("lr-1")
    story.plays_until(HOUR)
    story.hears_nothing_else()


def test_ten_runs_of_a_sweep_that_diverge_and_stop_within_seconds_are_all_named(story: Story) -> None:
    """The loop of the README obeys ``should_stop``: a run is over seconds after its finding opened."""
    for kind, url in (("slack", SLACK), ("webhook", HOOK)):
        story.target(kind, url)
    for index in range(10):
        run, begin = f"lr-{index}", 0.5 * index
        story.at(begin).opens(run, "diverging", sweep="scan")
        story.at(begin + 2).ends(run, "failed" if index % 2 else "finished", sweep="scan")
    story.plays_until(HOUR)
    for url in (SLACK, HOOK):
        heard = [h for h in story.unheard if h.url == url]
        assert [round(h.at) for h in heard] == [0, 30]
        assert all(f"lr-{index}" in str([h.body for h in heard]) for index in range(10))
    rest = next(h for h in story.unheard if h.url == HOOK and h.at > 1).body
    assert rest["title"] == "10 runs of scan: 5 diverged and stopped, 5 diverged and failed"
    assert (rest["type"], rest["level"], rest["data"]["status"]) == ("finding.ended", "error", "ended")
    assert "white_check_mark" not in str(story.unheard)


def test_three_strangers_seconds_apart_are_three_messages(story: Story) -> None:
    story.target("slack", SLACK)
    for index in range(3):
        story.at(2 * index).opens(f"run-{index}", "diverging")
        story.at(2 * index + 1).ends(f"run-{index}", "finished")
    story.plays_until(10)
    for index in range(3):
        story.hears(between(2 * index, 2 * index + 0.1), f"run-{index}: diverging")
    story.hears_nothing_else()


def test_many_strangers_at_once_are_one_list_that_names_each(story: Story) -> None:
    story.target("slack", SLACK)
    for index in range(30):
        story.at(index).opens(f"run-{index:02}", "diverging")
    story.plays_until(HOUR)
    assert len(story.unheard) <= 12
    assert all(f"run-{index:02}" in str([h.body for h in story.unheard]) for index in range(30))
    assert max(h.at for h in story.unheard) <= 29 + 60.1, "nothing critical waits for more than a minute"


def test_a_run_that_recovers_before_anybody_was_told_is_only_counted(story: Story) -> None:
    story.target()
    story.at(0).opens("lr-1", "diverging", sweep="scan")
    story.at(2).opens("lr-2", "loss_spike", "warning", sweep="scan")
    story.at(3).opens("lr-3", "diverging", sweep="scan")
    story.at(20).resolves("lr-2", "loss_spike", "warning", sweep="scan")
    story.plays_until(HOUR)
    story.hears(between(0, 0.1), "lr-1: diverging")
    rest = story.hears(between(30, 30.1), "lr-3: diverging").body
    assert "lr-2" not in str(rest)
    assert "1 other run recovered by itself." in rest["text"]
    story.hears_nothing_else()


def test_a_dead_run_has_no_green_tick(story: Story) -> None:
    story.target("slack", SLACK)
    story.at(0).opens("lr-1", "diverging")
    story.at(40).ends("lr-1", "finished")
    story.plays_until(HOUR)
    story.hears(between(0, 0.1), "lr-1: diverging")
    end = story.hears(between(70, 70.1), "lr-1: diverged and stopped")
    assert "white_check_mark" not in str(end.body)
    assert ":rotating_light:" in str(end.body)
    assert end.body["attachments"][0]["color"] == "#d92d20"
    story.hears_nothing_else()


def test_a_crash_without_a_finding_tells_what_it_died_of(story: Story) -> None:
    story.target()
    story.at(0).ends("lr-1", "failed", error="RuntimeError: CUDA out of memory")
    story.at(1).ends("lr-2", "failed")
    story.plays_until(HOUR)
    told = story.hears(between(0, 0.1), "lr-1: failed").body
    assert told["text"] == "RuntimeError: CUDA out of memory"
    assert story.hears(between(1, 1.1), "lr-2: failed").body["text"].startswith("No error message was sent.")
    story.hears_nothing_else()


def test_a_crash_with_an_open_warning_is_one_message(story: Story) -> None:
    story.target()
    story.at(0).opens("lr-1", "plateau", "warning")
    story.at(60).ends("lr-1", "failed", error="OSError: No space left on device")
    story.plays_until(HOUR)
    story.hears(between(0, 0.1), "lr-1: plateau")
    assert "No space left" in story.hears(between(60, 60.1), "lr-1: failed").body["text"]
    story.hears_nothing_else()


@pytest.mark.slow
def test_a_crash_loop_is_a_few_messages_an_hour(story: Story) -> None:
    story.target("slack", SLACK)
    for minute in range(60):
        story.at(60 * minute).ends("job", "failed", error="ValueError: bad batch")
        story.at(60 * minute + 20).happens("run.reopened", "job")
    story.plays_until(HOUR - 1)
    assert 2 <= len(story.unheard) <= 60
    gaps = [b.at - a.at for a, b in pairwise(story.unheard)]
    assert all(gap >= 30 for gap in gaps)


def test_an_incident_of_a_dead_run_stays_open_until_somebody_acknowledges_it(story: Story) -> None:
    story.target("pagerduty", "https://events.pagerduty.com/v2/enqueue")
    story.at(0).opens("lr-1", "diverging")
    story.at(10).ends("lr-1", "finished")
    story.at(900).acknowledges("lr-1", "diverging")
    story.plays_until(HOUR)
    first, died, resolved = (story.hears(between(0, HOUR), event).body for event in ("trigger", "trigger", "resolve"))
    assert first["dedup_key"] == died["dedup_key"] == resolved["dedup_key"]
    assert "diverged and stopped" in died["payload"]["summary"]
    assert "acknowledges" in died["payload"]["custom_details"]["note"]
    story.hears_nothing_else()


def test_an_incident_of_a_dead_run_is_resolved_by_a_later_healthy_attempt(story: Story) -> None:
    story.target("pagerduty", "https://events.pagerduty.com/v2/enqueue")
    story.at(0).opens("lr-1", "diverging")
    story.at(10).ends("lr-1", "failed")
    story.at(600).happens("run.reopened", "lr-1").supersedes("lr-1", "diverging")
    story.plays_until(HOUR)
    for event in ("trigger", "trigger", "resolve"):
        story.hears(between(0, HOUR), event)
    story.hears_nothing_else()


def test_a_finding_that_later_values_take_back_is_no_resume(story: Story) -> None:
    story.target()
    story.at(0).opens("lr-1", "overfitting", "warning", attempt=1)
    story.at(60).supersedes("lr-1", "overfitting", "warning", attempt=1)
    story.at(70).opens("lr-2", "overfitting", "warning", attempt=1, sweep="scan")
    story.at(71).opens("lr-3", "overfitting", "warning", attempt=1, sweep="scan")
    story.at(72).supersedes("lr-3", "overfitting", "warning", attempt=1, sweep="scan")
    story.plays_until(HOUR)
    story.hears(between(0, 0.1), "lr-1: overfitting")
    story.hears(between(70, 70.1), "lr-2: overfitting")
    story.hears(between(90, 90.1), "lr-1: overfitting (taken back, later values explain it)")
    story.hears_nothing_else()


def test_two_strangers_are_two_incidents(story: Story) -> None:
    story.target("pagerduty", "https://events.pagerduty.com/v2/enqueue")
    story.at(0).opens("mine", "diverging")
    story.at(1).opens("yours", "diverging")
    story.plays_until(10)
    assert len({h.body["dedup_key"] for h in story.unheard}) == 2


def test_nan_in_loss_and_gradient_is_one_alarm(story: Story) -> None:
    story.target()
    story.at(0).opens("lr-1", "non_finite", id="f_loss").opens("lr-1", "non_finite", id="f_gradient")
    story.at(5).opens("lr-1", "diverging")
    story.plays_until(HOUR)
    story.hears(between(0, 0.1), "lr-1: loss is not finite")
    story.hears_nothing_else()


def test_the_operator_hears_of_a_target_that_fails_and_of_what_was_lost(
    story: Story, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    story.target("slack", SLACK, repeat_interval_s=7 * 86_400)
    story.egress.answers[SLACK] = lambda tries: Answer(500) if tries <= 9 else Answer(200)
    story.at(0).opens("lr-1", "diverging")
    story.at(86_400).opens("lr-2", "diverging")
    story.plays_until(2 * 86_400)
    said = [record.getMessage() for record in caplog.records if "losswatch_server.alerts" in record.name]
    assert [line.split(" to ")[0] for line in said] == ["notifications", "a notification", "notifications"]
    assert "do not arrive: answered 500" in said[0]
    assert "was given up after 8 tries" in said[1]
    assert "arrive again" in said[2]
    assert "/T/B/x" not in str(said)


def test_a_message_of_which_nobody_can_follow_the_links_says_so() -> None:
    target = Target(id="t", project="default", kind="slack", url=SLACK)
    assert "--base-url" in sample(target, "m", 0.0, Links("http://127.0.0.1:8000", only_here=True).warning).text
    assert "--base-url" not in sample(target, "m", 0.0).text
    assert Links("https://lw.example").of(sample(target, "m", 0.0)) == "https://lw.example/docs/notifications"


def test_how_long_a_run_has_been_silent_is_said_once_and_as_of_the_message(story: Story) -> None:
    """The finding opened after 65 seconds, the message is made half a minute later."""
    story.target("slack", SLACK)
    last_seen = datetime.fromtimestamp(START - 65, UTC).isoformat()
    summary = "Nothing has been heard of this run for 65 seconds."
    evidence = {"last_seen_at": last_seen, "silent_s": 65.0}
    story.at(0).opens("lr-1", "silent", "warning", summary=summary, evidence=evidence)
    story.plays_until(HOUR)
    said = str(story.hears(between(30, 30.1), "lr-1: stopped reporting").body)
    assert "Nothing has been heard of this run for 95 seconds." in said
    assert "95 seconds ago" in said
    assert "65 seconds" not in said
    story.hears_nothing_else()
