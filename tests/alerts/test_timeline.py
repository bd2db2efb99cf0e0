"""What people hear, and when: stories on an injected clock."""

from __future__ import annotations

from itertools import pairwise

import pytest

from alerts.story import Story, between, down, down_until
from losswatch_server.alerts.egress.client import Answer

HOUR, DAY = 3_600.0, 86_400.0
HOOK = "https://example.org/hook"
SLACK = "https://hooks.slack.com/services/T/B/x"


def test_a_finding_is_told_at_once_and_its_resolution_when_it_holds(story: Story) -> None:
    story.target()
    story.at(10).opens("lr-1", "diverging")
    story.at(100).resolves("lr-1", "diverging")
    story.plays_until(HOUR)
    story.hears(between(10, 10.1), "lr-1: diverging")
    story.hears(between(130, 130.1), "lr-1: diverging (resolved)")
    story.hears_nothing_else()


def test_what_comes_and_goes_within_the_hold_is_one_message(story: Story) -> None:
    story.target()
    story.at(0).opens("lr-1", "oscillation", "warning")
    for minute in range(1, 40):
        story.at(30 * minute).resolves("lr-1", "oscillation", "warning")
        story.at(30 * minute + 20).opens("lr-1", "oscillation", "warning")
    story.plays_until(40 * 30)
    story.hears(between(0, 0.1), "lr-1: oscillating")
    story.hears_nothing_else()


def test_a_finding_that_flaps_slowly_makes_at_most_a_message_every_five_minutes(story: Story) -> None:
    story.target()
    for minute in range(0, 60, 2):
        story.at(60 * minute).opens("lr-1", "oscillation", "warning")
        story.at(60 * minute + 60).resolves("lr-1", "oscillation", "warning")
    story.plays_until(HOUR)
    times = [heard.at for heard in story.unheard]
    assert 2 <= len(times) <= 14
    assert all(later - earlier >= 300 for earlier, later in pairwise(times[1:]))


def test_a_worse_finding_is_told_again(story: Story) -> None:
    story.target()
    story.at(0).opens("lr-1", "diverging", "warning")
    story.at(60).worsens("lr-1", "diverging", "critical")
    story.plays_until(HOUR)
    assert story.hears(between(0, 0.1), "lr-1: diverging").body["level"] == "warn"
    worse = story.hears(between(60, 60.1), "lr-1: diverging").body
    assert (worse["level"], worse["type"], worse["data"]["reason"]) == ("error", "finding.worsened", "worsened")
    story.hears_nothing_else()


def test_an_open_finding_is_repeated_until_somebody_acknowledges_it(story: Story) -> None:
    story.target(repeat_interval_s=HOUR)
    story.at(0).opens("lr-1", "diverging")
    story.at(2.5 * HOUR).acknowledges("lr-1", "diverging")
    story.plays_until(DAY)
    story.hears(between(0, 0.1), "lr-1: diverging")
    for hour in (1, 2):
        repeat = story.hears(between(hour * HOUR, hour * HOUR + 1), "lr-1: diverging")
        assert repeat.body["data"]["reason"] == "repeat_interval"
    story.hears_nothing_else()


@pytest.mark.slow
def test_a_sweep_of_200_diverging_runs_makes_at_most_three_messages_that_name_them_all(story: Story) -> None:
    story.target("slack", "https://hooks.slack.com/services/T/B/x")
    story.target("webhook")
    for index in range(200):
        begin = index // 4 * 2.0
        run = f"lr-{index:03}"
        story.at(begin).opens(run, "exploding_gradient", "warning", sweep="scan")
        story.at(begin + 2).opens(run, "diverging", "critical", sweep="scan")
        story.at(begin + 20).opens(run, "non_finite", "critical", sweep="scan")
        story.at(begin + 40).ends(run, "failed", sweep="scan")
    story.plays_until(330)
    for url in ("https://hooks.slack.com/services/T/B/x", HOOK):
        heard = [h for h in story.unheard if h.url == url]
        assert len(heard) <= 3
    told = [h for h in story.unheard if h.url == HOOK]
    assert told[0].at == pytest.approx(0, abs=0.1)
    assert told[1].at == pytest.approx(30, abs=1)
    assert "runs of scan" in told[1].title


def test_a_silent_run_that_is_then_finished_did_not_return(story: Story) -> None:
    story.target()
    story.at(0).falls_silent("lr-1")
    story.at(100).returns("lr-1").ends("lr-1", "failed")
    story.plays_until(HOUR)
    story.hears(between(30, 30.1), "lr-1: stopped reporting")
    story.hears(between(100, 100.1), "lr-1: failed")
    story.hears_nothing_else()


def test_the_rest_of_a_sweep_follows_in_one_message_after_the_group_wait(story: Story) -> None:
    story.target()
    for index in range(100):
        story.at(0.1 * index).opens(f"lr-{index:02}", "diverging", sweep="scan")
    story.plays_until(HOUR)
    story.hears(between(0, 0.1), "lr-00: diverging")
    rest = story.hears(between(30, 30.1), "99 runs of scan: diverging (1 more open)")
    assert rest.body["data"]["total"] == 100
    story.hears_nothing_else()


def test_another_sweep_is_another_message(story: Story) -> None:
    story.target()
    story.at(0).opens("a-1", "diverging", sweep="a")
    story.at(1).opens("b-1", "diverging", sweep="b")
    story.plays_until(20)
    story.hears(between(0, 0.1), "a-1")
    story.hears(between(1, 1.1), "b-1")
    story.hears_nothing_else()


def test_grouping_by_run_tells_each_run_at_once(story: Story) -> None:
    story.target(group_by=frozenset({"run", "condition"}))
    for index in range(5):
        story.at(index).opens(f"lr-{index}", "diverging", sweep="scan")
    story.plays_until(20)
    for index in range(5):
        story.hears(between(index, index + 0.1), f"lr-{index}: diverging")
    story.hears_nothing_else()


def test_a_non_finite_loss_is_told_and_hides_what_follows_from_it(story: Story) -> None:
    story.target()
    story.at(0).opens("lr-1", "non_finite")
    story.at(5).opens("lr-1", "plateau", "warning")
    story.at(6).opens("lr-1", "overfitting", "warning")
    story.at(400).resolves("lr-1", "non_finite")
    story.plays_until(HOUR)
    story.hears(between(0, 0.1), "loss is not finite")
    story.hears(between(400, 400.1), "lr-1:")  # what it hid and what is still there
    story.hears(between(400, 400.1), "lr-1:")
    story.hears(between(430, 430.1), "loss is not finite (resolved)")
    story.hears_nothing_else()


def test_a_silent_run_is_told_once_and_so_is_its_return(story: Story) -> None:
    story.target(repeat_interval_s=600)
    story.at(0).falls_silent("lr-1")
    story.at(5).opens("lr-1", "plateau", "warning")
    story.at(HOUR).returns("lr-1")
    story.plays_until(1.5 * HOUR)
    assert story.hears(between(30, 30.1), "lr-1: stopped reporting").body["type"] == "run.silent"
    story.hears(between(HOUR, HOUR + 0.1), "lr-1: plateau")
    assert story.hears(between(HOUR + 30, HOUR + 30.1), "lr-1: reporting again").body["type"] == "run.returned"
    story.unheard = [h for h in story.unheard if h.body["data"]["reason"] != "repeat_interval"]
    story.hears_nothing_else()


def test_a_run_that_fails_without_a_finding_is_news(story: Story) -> None:
    story.target()
    story.at(0).ends("lr-1", "failed")
    story.at(10).ends("lr-2", "finished")
    story.plays_until(HOUR)
    assert story.hears(between(0, 0.1), "lr-1: failed").body["type"] == "run.failed"
    story.hears_nothing_else()


def test_open_findings_end_with_their_run(story: Story) -> None:
    story.target(repeat_interval_s=HOUR)
    story.at(0).opens("lr-1", "plateau", "warning")
    story.at(600).ends("lr-1", "finished")
    story.plays_until(DAY)
    story.hears(between(0, 0.1), "lr-1: plateau")
    story.hears(between(630, 630.1), "lr-1: plateau (run finished)")
    story.hears_nothing_else()


def test_a_run_that_goes_on_after_its_end_has_its_findings_back(story: Story) -> None:
    story.target()
    story.at(0).opens("lr-1", "plateau", "warning")
    story.at(600).ends("lr-1", "finished")
    story.at(1_500).happens("run.reopened", "lr-1")
    story.plays_until(HOUR)
    story.hears(between(0, 0.1), "lr-1: plateau")
    story.hears(between(630, 630.1), "lr-1: plateau (run finished)")
    story.hears(between(1_500, 1_500.1), "lr-1: plateau")
    story.hears_nothing_else()


def test_of_a_deleted_run_nothing_more_is_heard(story: Story) -> None:
    story.target("slack", HOOK)
    story.egress.answers[HOOK] = down_until(60, story)
    story.at(0).opens("lr-1", "diverging")
    story.at(1).ends("lr-1", "deleted")
    story.plays_until(DAY)
    story.hears_nothing_else()
    assert [row.state for row in story.log] == ["dropped"]


def test_a_muted_finding_is_told_when_the_mute_ends_if_it_is_still_there(story: Story) -> None:
    story.target()
    story.at(0).opens("lr-1", "diverging", "warning")
    story.at(5).mutes("lr-1", "diverging", for_s=600)
    story.at(10).worsens("lr-1", "diverging", "critical")
    story.plays_until(HOUR)
    story.hears(between(0, 0.1), "lr-1: diverging")
    story.hears(between(605, 605.1), "lr-1: diverging")
    story.hears_nothing_else()


def test_a_silence_holds_messages_back_until_it_ends(story: Story) -> None:
    story.target()
    story.at(0).silences("run", "lr-1", for_s=900)
    story.at(10).opens("lr-1", "diverging").opens("lr-2", "plateau", "warning")
    story.at(20).opens("lr-1", "overfitting", "warning")
    story.at(30).resolves("lr-1", "overfitting", "warning")
    story.plays_until(HOUR)
    story.hears(between(10, 10.1), "lr-2: plateau")
    story.hears(between(900, 900.1), "lr-1: diverging")
    story.hears_nothing_else()


def test_a_budget_holds_back_and_gathers_what_is_over_it(story: Story) -> None:
    story.target(max_per_hour=3)
    for index in range(10):
        story.at(60 * index).opens(f"lr-{index}", "plateau", "warning", sweep=f"s{index}")
    story.plays_until(HOUR + 1)
    assert [round(h.at) for h in story.unheard] == [0, 60, 120, 3600]
    assert all(f"lr-{index}" in str(story.unheard[3].body) for index in range(3, 10))


def test_beyond_the_budget_what_is_critical_waits_a_minute_and_takes_the_rest_along(story: Story) -> None:
    story.target("slack", SLACK, max_per_hour=3)
    for index in range(10):
        story.at(index).opens(f"lr-{index}", "plateau", "warning", sweep=f"s{index}")
    story.at(20).opens("lr-x", "diverging")
    story.plays_until(HOUR - 1)
    critical = story.unheard[3]
    assert critical.at == pytest.approx(62, abs=0.2)
    assert all(name in str(critical.body) for name in ("lr-x", "lr-3", "lr-9"))
    assert len(story.unheard) == 4


@pytest.mark.slow
def test_ten_thousand_healthy_runs_over_an_hour_send_nothing(story: Story) -> None:
    story.target()
    for index in range(10_000):
        at = index * 0.3
        story.at(at).happens("run.created", f"run-{index}")
        if index % 3 == 0:
            story.at(at + 300).opens(f"run-{index}", "converged", "info")
        story.at(at + 500).happens("run.finished", f"run-{index}")
    story.plays_in_steps_of(60, until=HOUR)
    story.hears_nothing_else()
    assert story.log == []


def test_a_receiver_that_is_down_gets_the_message_later_under_the_same_id(story: Story) -> None:
    story.target()
    story.egress.answers[HOOK] = lambda tries: down(tries) if tries <= 4 else Answer(200)
    story.at(0).opens("lr-1", "diverging")
    story.plays_until(DAY)
    heard = story.hears(between(1_000, 2_200), "lr-1: diverging")
    (row,) = [row for row in story.log if row.id == heard.headers["webhook-id"]]
    assert (row.state, row.tries) == ("delivered", 5)


def test_eight_tries_then_it_is_given_up(story: Story) -> None:
    story.target(repeat_interval_s=7 * DAY)
    story.egress.answers[HOOK] = lambda tries: Answer(503)
    story.at(0).opens("lr-1", "diverging")
    story.plays_until(2 * DAY)
    (row,) = story.log
    assert (row.state, row.tries, row.status) == ("failed", 8, 503)
    assert 0.5 * DAY < row.finished_at - row.created_at < 1.2 * DAY


def test_retry_after_is_honoured(story: Story) -> None:
    story.target()
    story.egress.answers[HOOK] = lambda tries: Answer(429, {"retry-after": "500"}) if tries == 1 else Answer(200)
    story.at(0).opens("lr-1", "diverging")
    story.plays_until(HOUR)
    story.hears(between(500, 500.1), "lr-1: diverging")


def test_late_chat_messages_give_way_to_the_latest_state(story: Story) -> None:
    story.target("slack", HOOK)
    story.egress.answers[HOOK] = down_until(800, story)
    story.at(0).opens("lr-1", "diverging", "warning", sweep="s")
    story.at(70).opens("lr-2", "diverging", "warning", sweep="s")
    story.at(400).resolves("lr-1", "diverging", "warning", sweep="s")
    story.plays_until(HOUR)
    heard = story.hears(between(800, HOUR), "lr-2: diverging")
    assert "lr-1" not in str(heard.body), "what came and went while the channel was down is not worth a message"
    story.hears_nothing_else()


def test_programs_get_every_message_in_order(story: Story) -> None:
    story.target()
    story.egress.answers[HOOK] = lambda tries: down(tries) if tries <= 4 else Answer(200)
    story.at(0).opens("lr-1", "diverging", "warning", sweep="s")
    story.at(70).worsens("lr-1", "diverging", "critical", sweep="s")
    story.at(700).resolves("lr-1", "diverging", "critical", sweep="s")
    story.plays_until(DAY)
    assert [h.body["type"] for h in story.unheard] == ["finding.opened", "finding.worsened", "finding.resolved"]


def test_a_receiver_that_is_gone_is_switched_off_and_the_others_are_told(story: Story) -> None:
    story.target("webhook", HOOK)
    story.target("webhook", "https://example.org/other")
    story.egress.answers[HOOK] = lambda tries: Answer(410)
    story.at(0).opens("lr-1", "diverging")
    story.at(600).opens("lr-2", "diverging")
    story.plays_until(HOUR)
    assert {t.name: t.state.value for t in story.targets} == {HOOK: "disabled", "https://example.org/other": "active"}
    story.hears(between(0, 0.1), "lr-1: diverging", "https://example.org/other")
    notice = story.hears(between(0, 0.1), f"{HOOK}: target switched off")
    assert notice.body["type"] == "target.disabled"
    story.hears(between(600, 600.1), "lr-2: diverging")
    story.hears_nothing_else()


def test_after_days_of_failure_a_target_is_switched_off(story: Story) -> None:
    story.target(repeat_interval_s=DAY)
    story.egress.answers[HOOK] = down
    for day in range(7):
        story.at(day * DAY).opens(f"lr-{day}", "diverging", sweep=f"s{day}")
    story.plays_until(7 * DAY)
    (target,) = story.targets
    assert target.state.value == "disabled"
    assert "5 days" in (target.disabled_reason or "")


def test_pagerduty_resolves_the_incident_that_it_triggered(story: Story) -> None:
    story.target("pagerduty", "https://events.pagerduty.com/v2/enqueue")
    story.at(0).opens("lr-1", "diverging")
    story.at(5).mutes("lr-1", "diverging")
    story.at(600).resolves("lr-1", "diverging")
    story.plays_until(HOUR)
    trigger = story.hears(between(0, 0.1), "trigger").body
    resolve = story.hears(between(630, 630.1), "resolve").body
    assert trigger["dedup_key"] == resolve["dedup_key"]
    story.hears_nothing_else()
