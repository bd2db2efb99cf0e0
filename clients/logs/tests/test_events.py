"""TensorBoard's event files: the scalars of every writer, however the file came to be read."""

from __future__ import annotations

import math

import pytest
from event_bytes import begin, event, image, simple, tensor
from hypothesis import given
from hypothesis import strategies as st

from losswatch_logs import UnreadableLogError
from losswatch_logs.events import EventFile, Scalar, is_event_file, read_events

FILE = begin() + b"".join(
    event(step, simple("loss/train", 2.0 / (step + 1)), image("samples"))
    + event(step, tensor("lr", 0.001))
    + (event(step, simple("loss/val", 2.5 / (step + 1))) if step % 5 == 0 else b"")
    for step in range(20)
)


def scalars(data: bytes) -> list[Scalar]:
    return EventFile().feed(data)


def test_scalars_of_both_kinds_are_read_and_pictures_are_not() -> None:
    assert is_event_file(FILE)
    log = read_events(scalars(FILE))
    assert [point.step for point in log.points] == list(range(20))
    assert [point.loss for point in log.points] == pytest.approx([2.0 / (step + 1) for step in range(20)])
    assert {point.learning_rate for point in log.points} == {0.001}
    assert log.points[5].validation_loss == pytest.approx(2.5 / 6)


@given(cuts=st.lists(st.integers(0, len(FILE)), max_size=12))
def test_a_file_that_grows_gives_the_same_wherever_it_was_cut(cuts: list[int]) -> None:
    growing = EventFile()
    found: list[Scalar] = []
    places = [0, *sorted(cuts), len(FILE)]
    for start, end in zip(places, places[1:], strict=False):
        found += growing.feed(FILE[start:end])
    assert found == scalars(FILE)


@given(data=st.binary(max_size=400), place=st.integers(0, len(FILE)))
def test_damage_is_survived(data: bytes, place: int) -> None:
    found = scalars(FILE[:place] + data + FILE[place:])
    assert found[: len(scalars(FILE[:place]))] == scalars(FILE[:place])


def test_nan_and_a_resume_are_what_they_are() -> None:
    data = b"".join(event(step, simple("loss", 1.0)) for step in range(6))
    data += b"".join(event(step, simple("loss", math.nan)) for step in range(4, 8))
    points = read_events(scalars(data)).points
    assert [(point.attempt, point.step) for point in points[-4:]] == [(2, step) for step in range(4, 8)]
    assert all(math.isnan(point.loss or 0.0) for point in points[-4:])


def test_each_tag_written_in_a_pass_of_its_own_makes_the_same_points() -> None:
    data = b"".join(event(step, simple("loss", 1.0 / (step + 1))) for step in range(6))
    data += b"".join(event(step, simple("learning_rate", 0.5)) for step in range(6))
    points = read_events(scalars(data)).points
    assert [(point.step, point.learning_rate) for point in points] == [(step, 0.5) for step in range(6)]


def test_a_file_without_a_loss_says_what_there_is() -> None:
    with pytest.raises(UnreadableLogError, match="throughput"):
        read_events(scalars(event(1, simple("throughput", 3.0))))
    with pytest.raises(UnreadableLogError, match="no scalars"):
        read_events([])
