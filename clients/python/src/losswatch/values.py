"""Numbers as frameworks hand them over: kept in the training thread without waiting, read later in the sender thread.

The loss of a step on an accelerator is a promise: ``float(loss)`` waits until the device has caught up. So the training
thread only takes hold of a value (`hold`), and the sender thread turns it into a number (`read`).
"""

from __future__ import annotations

import sys
from typing import Any, Mapping

_PLAIN = frozenset((float, int, type(None)))


class Unreadable:
    """Stands for a value that cannot be read as one number, with the sentence that says what to pass instead."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


class _OnStream:
    """A tensor and the event after which it holds its value: the sender thread does not share the training's stream."""

    __slots__ = ("event", "tensor")

    def __init__(self, tensor: Any, event: Any) -> None:
        self.tensor = tensor
        self.event = event

    def item(self) -> Any:
        self.event.synchronize()
        return self.tensor.item()


def hold(value: Any) -> Any:
    """Something that still has ``value`` later, without waiting for a device. Never raises.

    Plain numbers stay as they are. A tensor is detached from its graph and copied where it lies (an asynchronous
    copy of one number): training code changes losses in place (``total += loss``). Other objects are kept by
    reference and must not be changed afterwards; NumPy values are read at once, as they are already here.
    """
    if type(value) in _PLAIN:
        return value
    try:
        if isinstance(value, Mapping):
            return {name: hold(item) for name, item in value.items()}
        if hasattr(value, "full_tensor"):
            # Reading a sharded tensor is a collective: from a thread of one rank it would hang all of them.
            return Unreadable("it is spread over several devices; pass value.full_tensor()")
        if hasattr(value, "detach"):
            return _hold_tensor(value)
        if type(value).__module__ == "numpy":
            return value.item()
        if hasattr(value, "read_value"):  # a TensorFlow variable
            return value.read_value()
    except Exception as error:  # noqa: BLE001 - whatever a foreign object throws, training goes on
        return Unreadable(str(error))
    return value


def _hold_tensor(value: Any) -> Any:
    if value.numel() != 1:
        return Unreadable(f"it has {value.numel()} elements; pass its mean")
    copy = value.detach().clone()
    if not getattr(copy, "is_cuda", False):
        return copy
    cuda = sys.modules["torch"].cuda
    event = cuda.Event()
    event.record(cuda.current_stream(copy.device))
    return _OnStream(copy, event)


def read(value: Any) -> float:
    """The number that a held value stands for; may wait for a device.

    Raises ValueError, with what to pass instead, for what is not one real number.
    """
    kind = type(value)
    if kind is float or kind is int:
        return _float(value)
    if kind is Unreadable:
        raise ValueError(value.why)
    if isinstance(value, (bool, str, bytes, bytearray, Mapping)):
        raise ValueError(f"it is a {kind.__name__}, not a number")
    item = getattr(value, "item", None)
    return _float(item() if item is not None else value)


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError("it is too large for a float") from None
    except TypeError:
        raise ValueError(f"it is a {type(value).__name__}, not a number") from None
