"""A client that goes away while long work is done for it: the work is cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from losswatch_server.api.http.body import unless_gone


def _request(gone: asyncio.Event) -> Request:
    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http"}, receive)


def test_work_is_cancelled_when_its_client_goes_away() -> None:
    async def story() -> None:
        gone, began, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def work() -> None:
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        task = asyncio.create_task(unless_gone(_request(gone), work()))
        await began.wait()
        gone.set()
        with pytest.raises(ClientDisconnect):
            await task
        assert ended.is_set()

    asyncio.run(story())


def test_a_client_that_stays_gets_what_was_worked_out_or_its_error() -> None:
    async def story() -> None:
        async def fails() -> None:
            raise ValueError("no")

        assert await unless_gone(_request(asyncio.Event()), asyncio.sleep(0, "done")) == "done"
        with pytest.raises(ValueError, match="no"):
            await unless_gone(_request(asyncio.Event()), fails())

    asyncio.run(story())
