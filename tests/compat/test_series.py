"""Names, steps and repeated requests of foreign clients, as a function."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from losswatch.metric_names import Naming
from losswatch_server.compat.series import TRAINING, Logged, RunSeries, points_of, remembered
from losswatch_server.monitor.points import Point
from losswatch_server.runs.points.accept import in_order

Stream = list[tuple[str, int | None, float]]
STREAMS = st.lists(
    st.tuples(
        st.sampled_from(["loss", "train_loss", "val_loss", "acc", "grad_norm"]),
        st.sampled_from([None, 0, 0, 1, 2, 3, 5, -1, 2**60]),
        st.sampled_from([0.0, 1.0, float("nan"), float("inf")]),
    ),
    max_size=60,
)


def fresh() -> RunSeries:
    return RunSeries(Naming())


def merged(requests: list[list[list[Point]]]) -> dict[int, dict[str, str]]:
    """What stands after all requests: the first value of each field, metric by metric."""
    stands: dict[int, dict[str, str]] = {}
    for request in requests:
        for points in request:
            for point in points:
                values = {name: value for name, value in point._asdict().items() if name in ("loss", "validation_loss")}
                for name, value in (values | dict(point.metrics or {})).items():
                    if value is not None:
                        stands.setdefault(point.step, {}).setdefault(name, repr(value))
    return stands


@given(STREAMS, st.data())
def test_requests_that_are_sent_again_change_nothing(
    stream: list[tuple[str, int | None, float]], data: st.DataObject
) -> None:
    logged = [Logged(name, value, step, at) for at, (name, step, value) in enumerate(stream)]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(logged)), max_size=5)))
    batches = [logged[start:end] for start, end in zip([0, *cuts], [*cuts, len(logged)], strict=True)]
    once, again = fresh(), fresh()
    plain = [points_of(once.place(batch)) for batch in batches]
    repeated = []
    for number, batch in enumerate(batches):
        repeated.append(points_of(again.place(batch)))
        earlier = data.draw(st.lists(st.integers(0, number), max_size=2))
        repeated.extend(points_of(again.place(batches[one])) for one in earlier)
    assert merged(repeated) == merged(plain)


@given(STREAMS)
def test_no_two_values_of_a_request_contradict_each_other_and_no_loss_is_lost(stream: Stream) -> None:
    logged = [Logged(name, value, step, at) for at, (name, step, value) in enumerate(stream)]
    placed = fresh().place(logged)
    assert len(placed) == len(logged)
    for is_late in (False, True):
        for points in points_of([one for one in placed if one.is_late is is_late]):
            assert in_order(points) == points  # it raises where two contradict
    seen: dict[tuple[int, str], str] = {}
    for one in placed:
        if one.field in TRAINING and not one.is_late:
            assert seen.setdefault((one.step, one.field), repr(one.value)) == repr(one.value)


def test_a_value_that_comes_late_keeps_its_step_and_says_so_each_time() -> None:
    run = fresh()
    run.place([Logged("loss", 1.0, 1, 10), Logged("loss", 0.9, 2, 20), Logged("loss", 0.8, 4, 40)])
    for _ in range(2):
        (placed,) = run.place([Logged("loss", 0.85, 3, 30)])
        assert (placed.step, placed.field, placed.is_late) == (3, "loss", True)
    (placed,) = run.place([Logged("loss", 0.9, 2, 20)])
    assert (placed.step, placed.is_late) == (2, False)
    (placed,) = run.place([Logged("grad_norm", 1.0, 3, 31)])
    assert placed.is_late
    (placed,) = run.place([Logged("val_loss", 1.0, 2, 21)])
    assert not placed.is_late


def test_what_comes_before_the_loss_of_its_step_stays_at_its_step() -> None:
    run = fresh()
    for step in range(10, 100, 10):
        first = run.place([Logged("acc", 0.5, step, step), Logged("val_loss", 0.5, step, step)])
        then = run.place([Logged("loss", 1.0 / step, step, step)])
        assert [(one.step, one.is_late) for one in (*first, *then)] == [(step, False)] * 3
    (ahead,) = run.place([Logged("tokens", 1.0, 10**6, 100)])
    assert ahead.step == 90
    assert not run.place([Logged("loss", 0.001, 100, 101)])[0].is_late


def test_a_validation_that_is_logged_later_goes_to_the_step_that_was_reached() -> None:
    run = fresh()
    for number in range(10):
        run.place([Logged("loss", float(number), None, number)])
    placed = run.place([Logged("val_loss", 1.0, None, 11), Logged("val_acc", 1.0, None, 12)])
    assert [one.step for one in placed] == [9, 9]
    assert run.place([Logged("loss", 5.0, None, 13)])[0].step == 10


def test_what_was_found_out_of_a_run_is_known_after_a_restart() -> None:
    run = fresh()
    requests = [
        points_of(run.place([Logged("train/loss", float(n), 0, n), Logged("acc", 0.1, n, n)])) for n in range(5)
    ]
    again = remembered(run.notes(), {}, [point for request in requests for points in request for point in points])
    more = [Logged("loss", 9.0, 9, 50), Logged("train/loss", 8.0, 0, 51), Logged("acc", 0.2, 7, 52)]
    assert again.place(more) == run.place(more)
    assert [(one.step, one.field) for one in fresh().place(more)] == [(9, "loss"), (0, ""), (7, "")]
