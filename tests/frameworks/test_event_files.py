"""TensorBoard's own writer, tensorboardX and PyTorch's write event files; what they wrote is read back."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

from losswatch_logs import ReadLog  # noqa: E402
from losswatch_logs.events import EventFile, is_event_file, read_events  # noqa: E402

LOSSES = [2.0 / (step + 1) for step in range(30)]


def written(folder: Path) -> ReadLog:
    """What the event files of a folder say."""
    (path,) = folder.glob("*tfevents*")
    data = path.read_bytes()
    assert is_event_file(data)
    events = EventFile()
    return read_events(events.feed(data))


def told(log: ReadLog) -> list[tuple[Any, ...]]:
    return [(point.step, point.loss, point.validation_loss, point.learning_rate) for point in log.points]


def wanted() -> list[Any]:
    return [
        (step, pytest.approx(loss, rel=1e-6), pytest.approx(loss + 1, rel=1e-6) if step % 10 == 0 else None, 0.001)
        for step, loss in enumerate(LOSSES)
    ]


def write(writer: Any) -> None:
    """The calls that tensorboardX and PyTorch have in common; a picture among them."""
    for step, loss in enumerate(LOSSES):
        writer.add_scalar("loss/train", loss, step)
        if step % 10 == 0:
            writer.add_scalar("loss/val", loss + 1, step)
        writer.add_scalar("learning_rate", 0.001, step)
    writer.add_text("notes", "a text is no scalar")
    writer.add_scalar("loss/train", math.nan, len(LOSSES))
    writer.close()


def test_tensorboardx(tmp_path: Path) -> None:
    module = pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    write(module.SummaryWriter(str(tmp_path)))
    log = written(tmp_path)
    assert told(log)[:-1] == wanted()
    assert math.isnan(log.points[-1].loss or 0.0)


@pytest.mark.parametrize("new_style", [False, True])
def test_pytorch(tmp_path: Path, new_style: bool) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(tmp_path))
    plain = writer.add_scalar
    writer.add_scalar = lambda tag, value, step: plain(tag, value, step, new_style=new_style)  # type: ignore[method-assign]
    write(writer)
    assert told(written(tmp_path))[:-1] == wanted()


def test_tensorboards_own_writer_with_the_tensors_of_tensorflow_2(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from tensorboard.util.tensor_util import make_tensor_proto

    writer = EventFileWriter(str(tmp_path))
    metadata = summary_pb2.SummaryMetadata(plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name="scalars"))
    for step, loss in enumerate(LOSSES):
        for tag, value in (("epoch_loss", loss), ("epoch_learning_rate", 0.001)):
            tensor = make_tensor_proto(value, dtype="float32")
            named = summary_pb2.Summary.Value(tag=tag, tensor=tensor, metadata=metadata)
            writer.add_event(event_pb2.Event(step=step, wall_time=1.9e9, summary=summary_pb2.Summary(value=[named])))
    writer.close()
    log = written(tmp_path)
    assert [point.loss for point in log.points] == pytest.approx(LOSSES, rel=1e-6)
    assert {point.learning_rate for point in log.points} == {0.001}
