"""The one place that knows concrete classes: settings become a store, the use cases, and the application over them."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from fastapi import FastAPI

from losswatch_server.api import create_api
from losswatch_server.api.outer import LOOPBACK_NAMES
from losswatch_server.runs import Runs
from losswatch_server.settings import Settings
from losswatch_server.store.sqlite import SqliteStore


def create_app(settings: Settings) -> FastAPI:
    """The service. Nothing is opened before it starts; what it opens is closed when it stops.

    Starting raises DataDirectoryLockedError, SchemaTooNewError or OSError where the data directory cannot be had.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        store = await asyncio.to_thread(SqliteStore.open, settings.data_dir)
        try:
            runs = Runs(store)
            app.state.runs = runs
            yield
            await runs.close()
        finally:
            await asyncio.to_thread(store.close)

    return create_api(lifespan, allowed_hosts=allowed_hosts(settings.host))


def allowed_hosts(host: str) -> Collection[str] | None:
    """The names under which a service bound to ``host`` may be called: bound to loopback, its loopback names alone.

    Bound to another address it may have any name, and None comes back.
    """
    if host == "localhost":
        return LOOPBACK_NAMES
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if not address.is_loopback:
        return None
    return LOOPBACK_NAMES | {f"[{address}]" if address.version == 6 else str(address)}
