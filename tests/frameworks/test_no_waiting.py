"""No integration waits for a device: in the training thread, no step reads a tensor that an unwatched one does not."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch
from torch.utils._python_dispatch import TorchDispatchMode

import losswatch
from benchmarks.client.trainings import TRAININGS, Train

pytestmark = [pytest.mark.frameworks, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

READS = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default)
"""What ``item``, ``float`` and ``bool`` of a tensor come down to: they wait for its device."""


class CountsReads(TorchDispatchMode):  # type: ignore[misc]
    """Sees every operation of the thread in which it is entered, also those of hooks and of the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        copies = func is torch.ops.aten._to_copy.default and (kwargs or {}).get("device") is not None
        self.count += func in READS or copies
        return func(*args, **(kwargs or {}))


def reads(train: Train, is_watched: bool) -> int:
    """Of steps 4 to 13, of which one looks at the model again and one sends the norms of layers."""
    counts = []
    for steps in (4, 14):
        with CountsReads() as counter:
            train(is_watched, steps)
        counts.append(counter.count)
    return counts[1] - counts[0]


@pytest.mark.parametrize(
    "name", ["PyTorch, ResNet-20", "Hugging Face Trainer", "Lightning, ResNet-20", "Accelerate, ResNet-20"]
)
@pytest.mark.usefixtures("service")
def test_a_watched_step_reads_no_tensor_that_an_unwatched_one_does_not(name: str) -> None:
    make, package = TRAININGS[name]
    pytest.importorskip(package)
    train = make()
    assert reads(train, is_watched=True) == reads(train, is_watched=False)


@pytest.mark.parametrize(("every", "waits"), [("batch", True), ("epoch", False)])
def test_keras_waits_at_each_batch_only_where_batches_are_reported(every: str, waits: bool) -> None:
    keras = pytest.importorskip("keras")
    callback = losswatch.keras.LosswatchCallback("a", every=every, quiet=True)
    assert keras.callbacks.CallbackList([callback])._async_train is not waits


def test_a_read_is_seen() -> None:
    with CountsReads() as counter:
        float(torch.ones(1))
        bool(torch.ones(1) > 0)
    assert counter.count == 2
