"""Work in forked processes, a few at a time: each begins with all that is imported; what it changes ends with it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TypeVar

T = TypeVar("T")


def forked(works: Iterable[Callable[[], T]], jobs: int) -> Iterator[T]:
    """What each of the works gives, as they end.

    Raises
    ------
    RuntimeError
        Where a process ended without an answer.
    """
    context = multiprocessing.get_context("fork")
    waiting, under_way = iter(works), dict[Connection, BaseProcess]()
    while True:
        for work in islice(waiting, jobs - len(under_way)):
            here, there = context.Pipe(duplex=False)
            process = context.Process(target=_send, args=(work, there))
            process.start()
            there.close()
            under_way[here] = process
        if not under_way:
            return
        wait(list(under_way))
        for here in [pipe for pipe in under_way if pipe.poll()]:
            process = under_way.pop(here)
            try:
                answer: T = here.recv()
            except EOFError as error:
                raise RuntimeError("a process ended without an answer") from error
            process.join()
            yield answer


def _send(work: Callable[[], object], there: Connection) -> None:
    there.send(work())
