"""Processes for work that takes seconds of a core, so that the event loop and the writer keep their interpreter.

A process is started when it is needed, runs at a lower priority than this one, and ends when it has been idle for a
minute, has read much, or its caller has gone. It is a new program, not a copy of this one: it has none of its files,
sockets and databases. It ends with this process, however that ends: its standard input is closed then.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import os
import pickle  # between processes of our own # nosec B403
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import IO, Any, TypeVar

T = TypeVar("T")

IDLE_S = 60.0
MUCH = 8 << 20
"""Bytes from which on a process that has worked on them ends: it would keep the memory that they took."""
PIECE = 1 << 20
NICE = 10
_LENGTHS = struct.Struct("<QQ")
_LENGTH = struct.Struct("<Q")
_READY = b"\n"
"""What a process says first."""


class WorkerLostError(RuntimeError):
    """The process ended before it was done: the system killed it, or the service stops."""


class Workers:
    """Keeps what is idle, and hands it to the next. How many there are at a time is up to the callers."""

    def __init__(self) -> None:
        self._idle: list[_Process] = []
        self._busy: set[_Process] = set()
        self._starting = threading.Lock()
        self._closed = False

    async def run(self, work: Callable[..., T], raw: bytes, *arguments: Any) -> T:
        """What ``work(raw, *arguments)`` gives, or raises, in another process. ``work`` is a function of a module.

        Where this is cancelled the process is killed. Raises WorkerLostError, and OSError where none can be started.
        """
        process = self._idle.pop() if self._idle else await asyncio.to_thread(self._started)
        process.no_longer_idle()
        self._busy.add(process)
        keep = False
        try:
            done, given = await asyncio.to_thread(process.call, work, raw, arguments)
            keep = len(raw) < MUCH
        finally:
            self._busy.discard(process)
            if keep and process.is_alive:
                process.idle_for = asyncio.get_running_loop().call_later(IDLE_S, self._end, process)
                self._idle.append(process)
            else:
                process.kill()
        if not done:
            raise _revived(*given)
        result: T = given
        return result

    def _started(self) -> _Process:
        with self._starting:  # nothing may be started after the end
            if self._closed:
                raise WorkerLostError("The service is stopping.")
            process = _Process()
            self._busy.add(process)
            return process

    def _end(self, process: _Process) -> None:
        with contextlib.suppress(ValueError):
            self._idle.remove(process)
            process.kill()

    async def close(self) -> None:
        """Kill every process; what waits for one gets WorkerLostError."""
        await asyncio.to_thread(self._close)
        processes = [*self._idle, *self._busy]
        self._idle.clear()
        for process in processes:
            process.no_longer_idle()
            process.kill()
        await asyncio.gather(*(asyncio.to_thread(process.wait) for process in processes))

    def _close(self) -> None:
        with self._starting:
            self._closed = True


class Elsewhere:
    """Long work of one kind: so much of it at a time. Without ``workers`` it is done in threads."""

    def __init__(self, workers: Workers | None, at_once: int) -> None:
        self._workers = workers
        self._turns = asyncio.Semaphore(at_once)

    async def run(self, work: Callable[..., T], raw: bytes, *arguments: Any) -> T:
        """What ``work(raw, *arguments)`` gives, or raises, in its turn. See ``Workers.run``; where no process can be
        started it is done in a thread."""
        async with self._turns:
            if self._workers is not None:
                with contextlib.suppress(OSError):
                    return await self._workers.run(work, raw, *arguments)
            return await asyncio.to_thread(work, raw, *arguments)


class _Process:
    """One process, for one call at a time."""

    def __init__(self) -> None:
        self.idle_for: asyncio.TimerHandle | None = None
        self._in_call = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        assert self._process.stdout is not None
        try:
            _read(self._process.stdout, len(_READY))
        except EOFError:
            self.kill()
            raise OSError("A process for long work ended as soon as it was started.") from None

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def no_longer_idle(self) -> None:
        if self.idle_for is not None:
            self.idle_for.cancel()
            self.idle_for = None

    def kill(self) -> None:
        """End it at once. Whoever reads from it comes to the end."""
        self._process.kill()
        threading.Thread(target=self.wait, daemon=True).start()  # else it stays a zombie

    def wait(self) -> None:
        """Until it has ended, and nobody reads from it any more."""
        self._process.wait()
        with self._in_call, contextlib.suppress(OSError):
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()

    def call(self, work: Callable[..., Any], raw: bytes, arguments: tuple[Any, ...]) -> tuple[bool, Any]:
        """Whether ``work`` came to an end, and what it gave or raised. Blocks."""
        given = pickle.dumps((work, arguments))
        sending, receiving = self._process.stdin, self._process.stdout
        assert sending is not None
        assert receiving is not None
        with self._in_call:
            try:
                _write(sending, _LENGTHS.pack(len(given), len(raw)))
                _write(sending, given)
                _write(sending, raw)
                (length,) = _LENGTH.unpack(_read(receiving, _LENGTH.size))
                answer = _read(receiving, length)
            except (OSError, ValueError, EOFError) as error:
                raise WorkerLostError("The process that was to do this has ended.") from error
        told: tuple[bool, Any] = pickle.loads(answer)  # what a process of our own wrote # nosec B301
        return told


def _write(pipe: IO[bytes], data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[pipe.write(view[:PIECE]) :]


def _read(pipe: IO[bytes], length: int) -> bytes:
    whole = io.BytesIO()
    while whole.tell() < length:
        part = pipe.read(min(PIECE, length - whole.tell()))
        if not part:
            raise EOFError
        whole.write(part)
    return whole.getvalue()


def _revived(kind: type[Exception], arguments: tuple[Any, ...], state: dict[str, Any]) -> Exception:
    """An exception as it was raised, whatever its class wants to be made of."""
    error = kind.__new__(kind)
    error.args = arguments
    error.__dict__.update(state)
    return error


def _answer(work: Callable[..., Any], raw: bytes, arguments: tuple[Any, ...]) -> bytes:
    try:
        return pickle.dumps((True, work(raw, *arguments)))
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller raises it
        try:
            return pickle.dumps((False, (type(error), error.args, error.__dict__)))
        except Exception:  # noqa: BLE001 - it holds what no other process can have
            return pickle.dumps((False, (RuntimeError, (f"{type(error).__name__}: {error}",), {})))


def main() -> None:
    """Work for the process that started this one, until it closes the standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is meant for the service, which ends this process then
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):  # a service manager may forbid it
            os.nice(NICE)
    with os.fdopen(os.dup(1), "wb", buffering=0) as out:
        os.dup2(2, 1)  # what something prints is no answer
        _write(out, _READY)
        asked: SimpleQueue[tuple[bytes, bytes]] = SimpleQueue()
        threading.Thread(target=_listen, args=(asked,), daemon=True).start()
        gc.disable()  # a hundred thousand points looked through for circles again and again is a sixth of the time
        while True:
            given, raw = asked.get()
            work, arguments = pickle.loads(given)  # what a process of our own wrote # nosec B301
            gc.freeze()
            answer = _answer(work, raw, arguments)
            _write(out, _LENGTH.pack(len(answer)))
            _write(out, answer)
            del given, raw, work, arguments, answer
            gc.collect()


def _listen(asked: SimpleQueue[tuple[bytes, bytes]]) -> None:
    """Hand on what is asked. When the other end is closed nobody waits for an answer any more."""
    with os.fdopen(os.dup(0), "rb", buffering=0) as incoming:
        try:
            while True:
                length, size = _LENGTHS.unpack(_read(incoming, _LENGTHS.size))
                asked.put((_read(incoming, length), _read(incoming, size)))
        except (EOFError, OSError):
            os._exit(0)


if __name__ == "__main__":
    main()
