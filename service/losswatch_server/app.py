"""The one place that knows concrete classes: settings become a store, the use cases, and the application over them."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import math
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from urllib.parse import unquote, urlsplit

from fastapi import FastAPI

from losswatch.metric_names import Rules, read_rules
from losswatch_server import compat
from losswatch_server.agents.endpoint import McpEndpoint
from losswatch_server.alerts.channels.channel import MailServer
from losswatch_server.alerts.egress.redaction import scrub
from losswatch_server.alerts.metrics import DeliveryMetrics
from losswatch_server.alerts.service import Alerts, AlertSettings
from losswatch_server.api import create_api
from losswatch_server.api.app import Callers
from losswatch_server.api.http.proxy_users import ProxyUsers, networks
from losswatch_server.api.http.rate_limits import RateLimits
from losswatch_server.api.http.site import LOOPBACK_NAMES, Site
from losswatch_server.api.http.tracing import otlp_tracer
from losswatch_server.dashboard import pages
from losswatch_server.keys import KeyRing, Scope
from losswatch_server.keys.picture import picture_token
from losswatch_server.keys.quota import DailyQuotas
from losswatch_server.keys.ring import RELOAD_S
from losswatch_server.keys.table import StoredKeys
from losswatch_server.monitor.points import Point
from losswatch_server.operation import OperationMetrics
from losswatch_server.runs import RunRow, Runs
from losswatch_server.runs.event_feed import EventFeed
from losswatch_server.runs.retention import Retention
from losswatch_server.settings import Settings, SettingsError
from losswatch_server.store import StoreError
from losswatch_server.store.places import open_store
from losswatch_server.store.retention import Policy, StoredRetention
from losswatch_server.store.sql_store import SqlStore
from losswatch_server.supervision import Supervisor, told

LOOK_EVERY_S = 5.0
SWITCH_S = 0.0005
"""After so long a thread that works gives way to the event loop. The median of light posts beside four streams, two
diagnoses of 15 MB, or bodies of 100,000 points was 52 to 450 ms with it, 350 to 2000 ms with the usual 5 ms, in turns
on two cores that other work kept busy."""
RETAIN_S = 600.0
"""So long the other services leave retention to the one that did it last."""
GRACE_S = 5.0
"""Between the loss of the database and the end: so long the probes and every answer say what has happened."""


def create_app(settings: Settings, on_lost: Callable[[str], None] | None = None) -> FastAPI:
    """The service. Nothing is opened before it starts; what it opens is closed when it stops.

    Starting raises DataDirectoryError, SchemaTooNewError or StoreFailedError where the data directory cannot be had.
    ``on_lost`` is called, a little later, when the database was deleted or replaced: only a new start can help then.
    """
    agents = McpEndpoint()
    supervisor = Supervisor(tell=lambda error: scrub(told(error)))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        sys.setswitchinterval(SWITCH_S)
        store = await asyncio.to_thread(open_store, settings.place)
        store.elsewhere = app.state.elsewhere
        try:
            feed = EventFeed(store.events, store.newest_event, look=store.heard_since if store.is_shared else None)
            notices = store.notices(feed.wake.set)

            def committed(row: RunRow, last: Point | None) -> None:
                feed.changed(row, last)
                notices.wake.set()

            runs = Runs(
                store,
                kept=settings.live_runs,
                on_commit=committed,
                faults=app.state.faults,
                elsewhere=app.state.elsewhere,
            )
            keys = KeyRing(StoredKeys(store))
            await keys.reload()
            quotas = await DailyQuotas.opened(store, settings.points_per_day)
            alerts = Alerts(
                store,
                runs,
                replace(
                    alert_settings(settings),
                    sign_picture=partial(picture_token, keys),
                    alone=not store.is_shared,
                ),
                metrics=app.state.notification_metrics,
                supervisor=supervisor,
            )
            store.on_events = alerts.wake
            retention = Retention(runs, store, StoredRetention(store), policy(settings))
            app.state.transactions, app.state.retention, app.state.feed = store, retention, feed
            app.state.runs, app.state.alerts, app.state.keys, app.state.quotas = runs, alerts, keys, quotas
            await alerts.start()
            supervisor.start("API keys", keys.reload, longest_pause_s=RELOAD_S)
            supervisor.start("quotas", quotas.pass_on, longest_pause_s=RELOAD_S)
            supervisor.start("sealing", runs.seal_leftovers)
            supervisor.start("retention", partial(_retain, store, retention))
            supervisor.start("measuring", OperationMetrics(app.state.metrics.registry, store, feed, retention).look)
            supervisor.start("telling listeners", feed.pass_on, feed.wake)
            notices.start()
            if store.is_shared:
                supervisor.start("telling other services", notices.tell, notices.wake)
            supervisor.start("look at the database", lambda: _look(store, on_lost))
            supervisor.watch("writing", lambda: store.failing_since)
            try:
                yield
            finally:
                await app.state.workers.close()
                feed.close()
                for ends in (agents.close, supervisor.stop, notices.close, alerts.stop, runs.close):
                    await ends()
                for ends in (keys.close, quotas.close):
                    with contextlib.suppress(StoreError):
                        await ends()
        finally:
            await asyncio.to_thread(store.close)

    app = create_api(
        lifespan,
        site=site(settings),
        request_memory=settings.request_memory_mib << 20,
        callers=Callers(RateLimits(settings.requests_per_minute, settings.points_per_minute), proxy_users(settings)),
        supervisor=supervisor,
        tracer=otlp_tracer() if settings.tracing else None,
        more_routers=(pages.router, agents.router, *compat.ROUTERS),
        dialects=compat.DIALECTS,
    )
    app.state.base_url, app.state.error_page = settings.base_url, pages.error_page
    app.state.compat = compat.Recording(metric_rules(settings))
    app.state.notification_metrics = DeliveryMetrics(app.state.metrics.registry)
    return app


async def _retain(store: SqlStore, retention: Retention) -> float | None:
    """What is not kept any more is removed by one service at a time."""
    return await retention.look() if await store.leads("retention", RETAIN_S) else RETAIN_S


async def _look(store: SqlStore, on_lost: Callable[[str], None] | None) -> float | None:
    """Whether the database is still there; also where nobody writes, it is missed within seconds."""
    with contextlib.suppress(StoreError):  # the writer knows and has said so
        await store.check(trusted_s=math.inf)
    if store.lost is None:
        return LOOK_EVERY_S
    if on_lost is not None:
        await asyncio.sleep(GRACE_S)
        on_lost(store.lost)
    return None


def proxy_users(settings: Settings) -> ProxyUsers | None:
    """Who may be named by a proxy. Raises SettingsError."""
    try:
        trusted = networks(settings.trusted_proxies)
    except ValueError as error:
        raise SettingsError(f"trusted_proxies are addresses and networks with commas between: {error}") from None
    names = [name.strip() for name in settings.user_scopes.split(",")]
    if unknown := [name for name in names if name not in set(Scope)]:
        raise SettingsError(f"user_scopes are {', '.join(Scope)}, not {unknown[0]!r}")
    if settings.user_header is None:
        return None
    return ProxyUsers(settings.user_header, trusted, frozenset(map(Scope, names)))


def policy(settings: Settings) -> Policy:
    """What is kept of the projects that have no policy of their own."""
    return Policy(
        settings.thin_after_days, settings.thin_to_points, settings.delete_after_days, settings.project_max_mib
    )


def alert_settings(settings: Settings) -> AlertSettings:
    """What notifications need of the settings. Raises SettingsError for a mail server that cannot be read."""
    own_address = f"http://{settings.host}:{settings.port}" if settings.port else None
    return AlertSettings(
        allow_private_targets=settings.allow_private_targets,
        public_url=settings.base_url or own_address,
        public_url_is_known=settings.base_url is not None
        and not is_loopback(urlsplit(settings.base_url).hostname or ""),
        mail=None if settings.smtp_url is None else mail_server(settings.smtp_url, settings.mail_from),
        targets_file=settings.targets_file,
    )


def metric_rules(settings: Settings) -> Rules:
    """Which names stand for which field, beyond the table. Raises SettingsError for what is no rule."""
    try:
        return read_rules(settings.metric_names or "")
    except ValueError as error:
        raise SettingsError(f"metric_names: {error}") from None


def mail_server(url: str, sender: str) -> MailServer:
    """The mail server of ``smtp://user:password@host:port``. No error repeats the URL: it holds a password."""
    try:
        parts = urlsplit(url)
        security, port = {"smtp": ("starttls", 587), "smtps": ("tls", 465), "smtp+plain": ("none", 25)}[parts.scheme]
        if not parts.hostname:
            raise ValueError
        return MailServer(
            host=parts.hostname,
            port=parts.port or port,
            security=security,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            sender=sender,
        )
    except (KeyError, ValueError):
        raise SettingsError("smtp_url is written smtp://user:password@host:587, smtps://… or smtp+plain://…") from None


def site(settings: Settings) -> Site:
    """Under which names the service answers.

    Bound to loopback: its loopback names. Bound to another address: that address, this machine's name, and every name
    that no stranger can own, so that a team reaches it by number or by a name of its network. In both cases also those
    of ``allowed_hosts`` and ``base_url``.
    """
    names = {*LOOPBACK_NAMES, *(settings.allowed_hosts or "").split(",")}
    beyond = not is_loopback(settings.host)
    names.add(f"[{settings.host}]" if ":" in settings.host else settings.host)
    if beyond:
        names.add(socket.gethostname())
    return Site(names, any_private=beyond, base_url=settings.base_url)


def is_loopback(host: str) -> bool:
    """Whether a service on this address can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
