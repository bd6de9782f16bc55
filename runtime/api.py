"""Owns the API process: what it is made of, its addresses, and how it begins and ends."""

import asyncio
import logging
import math
import random
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import cast

import uvicorn
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from domain.clock import utc_now
from domain.errors import DomainError
from domain.execution.desk import CommandDesk
from domain.execution.ports import ObjectStore
from domain.ids import new_id, new_name
from domain.leaderboard.service import Boards
from domain.member import service as members
from integrations.valkey.client import connect
from integrations.valkey.projection import ValkeyProjection
from integrations.valkey.ticks import TickReader
from live.hub import Hub
from live.topics import Pace
from resolvers.context import Services
from resolvers.desks import Desks
from runtime import assets
from runtime.database import PostgresDatabase
from runtime.demo.people import DOMAIN, PASSWORD
from runtime.descriptors import most_connections
from runtime.files import FileLinks, files_route
from runtime.health import health_routes, readiness_checks
from runtime.hearing import HeardByAll
from runtime.kept import KeptProtocol, KeptResponses
from runtime.memory import settled_memory
from runtime.metrics.http import CountRequests, metrics_route
from runtime.metrics.meters import Metrics
from runtime.middleware import RequestIds
from runtime.object_store import open_store
from runtime.outage import is_outage
from runtime.ratelimit import Limiter, limits_of
from runtime.settings import Settings
from runtime.signals import at_the_end, call_on_signals, let_go
from runtime.websockets import WebSocketProtocol
from schema.build import build_schema
from schema.transport.answers import SharedAnswers
from schema.transport.connections import Connections, Times
from schema.transport.contexts import Contexts
from schema.transport.credentials import SessionCookie
from schema.transport.engine import Engine
from schema.transport.limits import Limits
from schema.transport.outlet import Post
from schema.transport.sessions import KnownSessions
from schema.transport.shortcut import Shortcut
from schema.transport.sockets import Sockets
from schema.transport.sse import EventEndpoint
from web import pages

_log = logging.getLogger(__name__)
_MESSAGE_BYTES = 64 * 1024


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT: sockets are told to connect again elsewhere, requests are finished."""
    async with open_api(settings) as app, settled_memory():
        server = _Server(_config(app, settings))
        call_on_signals(lambda number: server.handle_exit(number, None))
        await server.serve()


@asynccontextmanager
async def open_api(settings: Settings) -> AsyncIterator[Starlette]:
    """The application with everything that it needs open; all of it is closed at the end of the block."""
    async with AsyncExitStack() as stack:
        parts = await _open_parts(settings, stack)
        yield _application(settings, parts)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the process is made of."""

    database: PostgresDatabase
    valkey: Redis
    ticks: TickReader
    links: FileLinks
    store: ObjectStore
    contexts: Contexts
    engine: Engine
    connections: Connections
    metrics: Metrics


async def _open_parts(settings: Settings, stack: AsyncExitStack) -> _Parts:
    database = _open_database(settings)
    at_the_end(stack, "connections to PostgreSQL", database.close)
    valkey, listening = connect(settings.required_redis_url()), connect(settings.required_redis_url())
    at_the_end(stack, "connections to Valkey", valkey.aclose)
    at_the_end(stack, "the connection that hears ticks", listening.aclose)
    boards = Boards(database, ValkeyProjection(valkey), utc_now)
    at_the_end(stack, "boards that are computed", boards.stop)
    answers = SharedAnswers(lambda: ticks.is_alive, seconds=settings.hub_poll_seconds)
    ticks = TickReader(listening, early=answers.moved, front=boards.hear)
    hub = Hub(database, boards, HeardByAll(ticks, answers), pace=_pace(settings))
    store = await stack.enter_async_context(open_store(settings))
    links = FileLinks(settings.secret_key(), settings.public_url, utc_now)
    services = _services(settings, database, valkey, boards, links)
    contexts = Contexts(services, hub, answers, KnownSessions(seconds=settings.hub_poll_seconds))
    engine = Engine(build_schema(), Limits(), is_outage)
    connections = _connections(settings, database, hub, engine.limits)
    metrics = Metrics()
    metrics.live_windows.set_function(lambda: hub.windows)
    await hub.start()
    at_the_end(stack, "live updates", hub.stop)
    await _run_beside(stack, connections)
    return _Parts(database, valkey, ticks, links, store, contexts, engine, connections, metrics)


def _open_database(settings: Settings) -> PostgresDatabase:
    return PostgresDatabase.create(
        settings.required_database_url(),
        pool_size=settings.pool_size,
        application_name="palpite-api",
        statement_timeout=min(settings.statement_timeout_seconds, Limits().request_seconds),
    )


def _services(
    settings: Settings, database: PostgresDatabase, valkey: Redis, boards: Boards, links: FileLinks
) -> Services:
    return Services(
        database=database,
        boards=boards,
        desks=Desks(database),
        commands=CommandDesk(database),
        limiter=Limiter(valkey, limits_of(settings)),
        report_url=links.url,
        public_url=settings.public_url,
        session_days=settings.session_days,
        clock=utc_now,
    )


def _connections(settings: Settings, database: PostgresDatabase, hub: Hub, limits: Limits) -> Connections:
    return Connections(
        database,
        Post(lambda: hub.is_reading),
        most=most_connections(),
        most_a_member=limits.connections_a_member,
        times=_times(settings),
        watch_seconds=settings.hub_poll_seconds,
        random=random.random,
    )


async def _run_beside(stack: AsyncExitStack, connections: Connections) -> None:
    watcher = asyncio.create_task(connections.watch())

    async def stop() -> None:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher

    at_the_end(stack, "the watch over sessions", stop)


def _application(settings: Settings, parts: _Parts) -> Starlette:
    app = Starlette(
        routes=_routes(settings, parts),
        middleware=[
            Middleware(CountRequests, metrics=parts.metrics),
            Middleware(RequestIds, new_id=new_name),
            Middleware(Sockets, engine=parts.engine, contexts=parts.contexts, connections=parts.connections),
            Middleware(Shortcut, answers=parts.contexts.answers, sessions=parts.contexts.sessions),
        ],
        exception_handlers={404: pages.not_found},
    )
    app.state.database = parts.database
    app.state.connections = parts.connections
    app.state.kept = KeptResponses(parts.contexts, parts.metrics, new_name)
    app.state.blocked_seconds = settings.socket_blocked_seconds
    return app


def _routes(settings: Settings, parts: _Parts) -> list[BaseRoute]:
    cookie = SessionCookie(secure=settings.cookies_are_secure, days=settings.session_days)
    http = EventEndpoint(parts.engine, parts.contexts, cookie, parts.connections)
    checks = readiness_checks(parts.database, parts.valkey, lambda: parts.ticks.is_alive)
    return [
        Route("/graphql", http),
        *health_routes(checks),
        metrics_route(parts.metrics, parts.database),
        files_route(parts.links, parts.store),
        *pages.routes(_assets(settings), sign_in_as=_demo_sign_in(parts, cookie) if settings.demo else None),
    ]


def _demo_sign_in(parts: _Parts, cookie: SessionCookie) -> pages.SignInAs:
    """Signs a member of the demo in by nick name; real members have other addresses and are not reached by it."""

    async def sign_in_as(nick_name: str) -> Response | None:
        services = parts.contexts.services
        try:
            session = await members.sign_in(
                services.database,
                email=f"{nick_name}@{DOMAIN}",
                password=PASSWORD,
                user_agent="demo",
                session_days=services.session_days,
                request_id=new_id().hex,
            )
        except DomainError:
            return None
        response = Response()
        cookie.set(response, session.token)
        return response

    return sign_in_as


def _assets(settings: Settings) -> Path:
    place = assets.place_of("assets", settings.data, settings.assets)
    if not place.exists():
        _log.warning("the files of the pages are missing: run `palpite assets`")
        place.mkdir(parents=True)
    return place


def _pace(settings: Settings) -> Pace:
    return Pace(
        poll=settings.hub_poll_seconds,
        coalesce=settings.coalesce_seconds,
        heartbeat=settings.stream_heartbeat_seconds,
        resume=settings.resume_seconds,
    )


def _times(settings: Settings) -> Times:
    return Times(
        init=settings.init_timeout_seconds,
        life=settings.socket_life_seconds,
        blocked=settings.socket_blocked_seconds,
    )


class _Server(uvicorn.Server):
    """Its signals are handled by `serve`, so that what was opened is closed before the process ends."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._is_to_stop = asyncio.Event()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._is_to_stop.set()

    async def main_loop(self) -> None:
        """The date of answers is written anew once a second; the base class looks ten times whether it is to stop."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._is_to_stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Clients are told to connect again elsewhere: event streams would hold the server up."""
        for server in self.servers:
            server.close()  # first, else they come back to this one
        await let_go("open connections", cast("Starlette", self.config.app).state.connections.stop)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(app: Starlette, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        http=KeptProtocol,
        ws=WebSocketProtocol,
        ws_ping_interval=settings.socket_ping_seconds,
        ws_ping_timeout=settings.socket_ping_seconds,
        ws_per_message_deflate=False,
        ws_max_size=_MESSAGE_BYTES,
        timeout_graceful_shutdown=max(1, math.floor(settings.stop_seconds)),
    )
