"""TensorBoard's records, written here by hand: what the writers of PyTorch and of TensorFlow 2 put on disk."""

from __future__ import annotations

import struct


def varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def block(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def record(event: bytes) -> bytes:
    """A TFRecord; the checksums are not looked at."""
    return struct.pack("<Q", len(event)) + b"\0" * 4 + event + b"\0" * 4


def event(step: int, *values: bytes) -> bytes:
    time = varint(1 << 3 | 1) + struct.pack("<d", 1_900_000_000.0)
    return record(time + varint(2 << 3 | 0) + varint(step) + block(5, b"".join(block(1, value) for value in values)))


def simple(tag: str, value: float) -> bytes:
    """A value as PyTorch's and TensorFlow 1's writers put it."""
    return block(1, tag.encode()) + varint(2 << 3 | 5) + struct.pack("<f", value)


def tensor(tag: str, value: float) -> bytes:
    """A value as TensorFlow 2's writer puts it: a tensor with its content, and the plugin's name."""
    content = varint(1 << 3 | 0) + varint(1) + block(2, b"") + block(4, struct.pack("<f", value))
    return block(1, tag.encode()) + block(8, content) + block(9, block(1, block(1, b"scalars")))


def image(tag: str) -> bytes:
    return block(1, tag.encode()) + block(4, b"\x89PNG" * 9)


def begin() -> bytes:
    return record(varint(1 << 3 | 1) + struct.pack("<d", 1.9e9) + block(3, b"brain.Event:2"))
